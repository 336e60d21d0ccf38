"""Keeps passwords out of everything that is printed, logged or recorded.

Users type URLs with passwords that are not percent-encoded, and then every reader of the URL cuts it elsewhere. So
nothing here parses a URL and trusts the parts: whatever could be the password in any reading is masked.
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

    Where a URL can be read in two ways, more is masked rather than less: the password after the user's name ends at
    the last `@`. Text without a password comes back unchanged.
    """
    masked, end = "", 0
    for start, stop in _secret_spans(url):
        masked += url[end:start] + MASK
        end = stop
    return masked + url[end:]


def scrub(text: str, url: str) -> str:
    """The text (say, a driver's error) without the passwords of `url`, in any encoding, nor of any other URL in it."""
    text = text.replace(url, mask_url(url))
    text = _URL_IN_TEXT.sub(lambda match: mask_url(match.group()), text)
    for secret in _spellings(url):
        text = text.replace(secret, MASK)
    return text


def _secret_spans(url: str) -> list[tuple[int, int]]:
    """Where passwords stand, as [start, stop) in order, overlapping readings merged."""
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
    """Every way a driver may quote a secret of the URL, longest first so that no shorter one leaves a rest.

    A raw `@`, `/` or `:` in a password makes drivers take its tail for the host, so the pieces count as well.
    """
    raw = [url[start:stop] for start, stop in _secret_spans(url)]
    pieces = [piece for secret in raw for piece in re.split(r"[@/:?#&=]", secret)]
    spellings = set()
    for secret in [*raw, *pieces]:
        for plain in (secret, unquote(secret), unquote_plus(secret)):
            spellings |= {plain, quote(plain, safe=""), quote_plus(plain), repr(plain)[1:-1]}
    return sorted(spellings - {"", MASK}, key=lambda spelling: (-len(spelling), spelling))
