"""What is served: a file with its validators, and the preconditions that look at them."""

import os
import stat

from request import format_date, parse_date


class Entity:
    """One file as this request sees it; faults may change size, etag and last_modified."""

    __slots__ = ("fd", "file_size", "size", "etag", "last_modified", "ignore_conditions")

    def __init__(self, fd, st):
        self.fd = fd
        self.file_size = self.size = st.st_size
        self.etag = '"%x-%x"' % (st.st_mtime_ns, st.st_size)
        self.last_modified = format_date(int(st.st_mtime))
        self.ignore_conditions = False

    def holds(self, headers):
        """False if a precondition fails (RFC 9110 section 13.2.2, without If-None-Match)."""
        if self.ignore_conditions:
            return True
        if "if-match" in headers:
            return self._matches(headers["if-match"])
        since = parse_date(headers.get("if-unmodified-since"))
        modified = parse_date(self.last_modified)
        return since is None or modified is None or modified <= since

    def range_applies(self, headers):
        """If-Range (section 13.1.5): False means that the whole is sent."""
        value = headers.get("if-range")
        if value is None or self.ignore_conditions:
            return True
        if value.startswith('"'):
            return value == self.etag
        return not value.startswith("W/") and value == self.last_modified

    def _matches(self, value):
        if value.strip() == "*":
            return True
        tags = [tag.strip() for tag in value.split(",")]
        return self.etag is not None and not self.etag.startswith("W/") and self.etag in tags


class Folder:
    """Opens the files below one folder, and keeps them open while they stay the same."""

    def __init__(self, root):
        self._root = os.path.realpath(root)
        self._open = {}
        self._names = {}

    def entity(self, path):
        """The entity at the URL path, or None."""
        name = self._names.get(path) or self._name(path)
        if not name:
            return None
        try:
            st = os.stat(name)
            if not stat.S_ISREG(st.st_mode):
                return None
            kept = self._open.get(name)
            if not kept or kept[1:] != (st.st_dev, st.st_ino):
                fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
                # The old descriptor may be in use by a response: it stays open.
                self._open[name] = kept = (fd, st.st_dev, st.st_ino)
        except OSError:
            return None
        return Entity(kept[0], st)

    def _name(self, path):
        """The file name for a URL path that stays inside the folder, or None."""
        name = os.path.normpath(os.path.join(self._root, path.lstrip("/")))
        if not name.startswith(self._root + os.sep) or "\0" in name:
            return None
        self._names[path] = name
        return name
