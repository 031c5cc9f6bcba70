#include "daemon/notify.h"

#include <systemd/sd-daemon.h>

void notify_ready(const char *what)
{
	(void)sd_notifyf(0, "READY=1\nSTATUS=%s", what);
}

void notify_stopping(unsigned long long timeout_ms)
{
	(void)sd_notifyf(0, "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=%llu",
	                 timeout_ms * 1000);
}
