/* What a service manager is told (sd_notify(3)); nothing happens where there is none. */
#ifndef CLONEFS_DAEMON_NOTIFY_H
#define CLONEFS_DAEMON_NOTIFY_H

/* The image can be read; @what is shown as the unit's status. */
void notify_ready(const char *what);
/* The end has begun and may take @timeout_ms more. */
void notify_stopping(unsigned long long timeout_ms);

#endif
