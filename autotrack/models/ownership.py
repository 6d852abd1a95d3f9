"""Whether files are this user's own: nobody else, root aside, can have written them or can exchange them."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

_GROUP: int = stat.S_IWGRP
_WORLD: int = stat.S_IWOTH


def doubt_of(root: Path, folder: Path) -> str:
    """Why what stands in a folder may be another user's; empty when it is this user's own.

    Looked at are the root, every folder from there down to ``folder``, and every file and folder in that. Each has to
    be owned by this user or root, and writable by nobody else; the group may write where it is the user's private one,
    which has the user's name and no other member. Where there are no such owners (Windows) there is no doubt.

    Parameters
    ----------
    root : the store's folder.
    folder : the model's folder below it.
    """
    if not hasattr(os, "geteuid"):
        return ""
    try:
        top, bottom = os.path.realpath(root, strict=True), os.path.realpath(folder, strict=True)
        if bottom != top and not bottom.startswith(top + os.sep):
            return f"{bottom} is outside of {top}"
        path = top
        for part in ("", *bottom[len(top) :].split(os.sep)):
            path = os.path.join(path, part) if part else path
            if doubt := _doubt(path, os.stat(path)):
                return doubt
        waiting = [bottom]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    # A link's own owner counts: that it leads nowhere else is looked at when the file is opened.
                    status = entry.stat(follow_symlinks=False)
                    if doubt := _doubt(entry.path, status):
                        return doubt
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)
    except OSError as error:
        return f"its owner cannot be told: {error}"
    return ""


def _doubt(path: str, status: os.stat_result) -> str:
    user = os.geteuid()
    if status.st_uid not in (user, 0):
        return f"{path} belongs to another user ({_user_name(status.st_uid)})"
    if stat.S_ISLNK(status.st_mode):
        return ""
    if status.st_mode & _WORLD:
        return f"every user of this machine can write to {path} (to take that back: chmod -R go-w)"
    if status.st_mode & _GROUP and not _is_private(status.st_gid, user):
        return f"the group {_group_name(status.st_gid)} can write to {path} (to take that back: chmod -R go-w)"
    return ""


@lru_cache(maxsize=64)
def _is_private(group: int, user: int) -> bool:
    """Whether a group is the user's own, as systems with a umask of 002 give one to each."""
    import grp
    import pwd

    try:
        entry, owner = grp.getgrgid(group), pwd.getpwuid(user)
    except KeyError:
        return False
    return entry.gr_name == owner.pw_name and owner.pw_gid == group and not set(entry.gr_mem) - {owner.pw_name}


def _user_name(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _group_name(group: int) -> str:
    import grp

    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)
