"""Secrets at rest: sealed with the first key of OPSDASH_SEALING_KEYS, unsealed with any of them."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from dbops import conf


class CannotUnsealError(Exception):
    """A stored secret cannot be read: none of the keys in OPSDASH_SEALING_KEYS sealed it.

    Nothing was changed. Put the key that sealed it back into OPSDASH_SEALING_KEYS, or enter the value anew.
    """

    def __str__(self) -> str:
        return " ".join((self.__doc__ or "").split())


def seal(text: str) -> str:
    return _box().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise CannotUnsealError from None


def reseal(sealed: str) -> str:
    """The same secret under the first key."""
    try:
        return _box().rotate(sealed.encode()).decode()
    except InvalidToken:
        raise CannotUnsealError from None


def _box() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in conf.sealing_keys()])
