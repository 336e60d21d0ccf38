"""Keeps passwords out of everything that is printed, logged or recorded.

Users give URLs with passwords that are not percent-encoded, and parsers split such URLs differently. This module
therefore does not rely on a parsed URL: it masks every part that any parser could take for the password.
"""

import re
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MASK = "***"
_USER = re.compile(r"[\w+.-]+://[^:/?#]*:")
_PARAMETER = re.compile(r"[?&;#]([^=&;?#]+)=")
_SECRET_NAMES = ("pass", "pwd", "secret", "token", "apikey", "api_key", "credential")
_URL_IN_TEXT = re.compile(r"[\w+.-]+://[^\s'\"<>]+")


def mask_url(url: str) -> str:
    """The URL with every password replaced by `***`: after the user's name, or in a parameter like `?password=`.

    An ambiguous URL is masked generously: the password after the user's name ends at the last `@`. Text without a
    password is returned unchanged.
    """
    masked, end = "", 0
    for start, stop in _secret_spans(url):
        masked += url[end:start] + MASK
        end = stop
    return masked + url[end:]


def scrub(text: str, url: str) -> str:
    """A text, such as a driver's error, without the passwords of `url` in any encoding and of the URLs in the text."""
    text = text.replace(url, mask_url(url))
    text = _URL_IN_TEXT.sub(lambda match: mask_url(match.group()), text)
    for secret in _spellings(url):
        text = text.replace(secret, MASK)
    return text


def _secret_spans(url: str) -> list[tuple[int, int]]:
    """Ordered spans [start, stop) of the possible passwords; overlapping spans are merged."""
    spans = []
    user = _USER.match(url)
    if user and "@" in url[user.end() :]:
        spans.append((user.end(), url.rindex("@")))
    for match in _PARAMETER.finditer(url):
        if _is_secret_name(match.group(1)):
            stop = url.find("&", match.end())
            spans.append((match.end(), len(url) if stop < 0 else stop))
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _is_secret_name(name: str) -> bool:
    plain = unquote_plus(name).casefold()
    return any(word in plain for word in _SECRET_NAMES)


def _spellings(url: str) -> list[str]:
    """All forms in which a driver may print a secret of the URL, the longest first so that no part remains.

    A raw `@`, `/` or `:` in a password makes drivers take the rest of it for the host, so parts are included.
    """
    raw = [url[start:stop] for start, stop in _secret_spans(url)]
    pieces = [piece for secret in raw for piece in re.split(r"[@/:?#&=]", secret)]
    spellings = set()
    for secret in [*raw, *pieces]:
        for plain in (secret, unquote(secret), unquote_plus(secret)):
            spellings |= {plain, quote(plain, safe=""), quote_plus(plain), repr(plain)[1:-1]}
    return sorted(spellings - {"", MASK}, key=lambda spelling: (-len(spelling), spelling))
