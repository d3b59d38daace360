"""Pictures, sounds and files in the content of messages, in the forms that the APIs of models use.

A form that a target does not accept becomes a short text, such as `[image image/png, 48 KiB]`. The data itself never
becomes text: a picture would cost as much as a book, and a model cannot read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from chatstore_cli.domain.byte_sizes import format_bytes

_DATA_URI = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*?;base64,(?P<data>[\w+/=\s-]*)", re.ASCII)
_WRITTEN_URI = re.compile(
    r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[\w.+%-]+(?:=[\w.+%-]*)?)*,(?P<data>[\w!$&'()*+,;=:@/?%~.-]*)", re.ASCII
)
"""A data URI (RFC 2397) with a media type whose data is text in percent-encoding. A text with a space is not a data URI."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{512,}={0,2}")
"""Text this long without a space, a full stop or a line feed is data in base64."""
_DATA_IN_TEXT = re.compile(
    r"""
    (?<!\w) data:\s? (?P<type>[\w.+-]{1,100}/[\w.+-]{1,100})? (?:;[^;,\n]{0,100}){0,5}? ;\s?base64\s?,
    (?P<data>[\w+/=%-]+ (?:\r?\n[\w+/-]{60,76})* (?:\r?\n[\w+/-]{1,76}={0,2}(?=\r?\n|$))?)
    | (?<![\w+/-]) (?P<alone>[A-Za-z0-9+/_-]{512,}={0,2})
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
"""Data in base64 between other text, such as a picture of Markdown. Lines of 60 to 76 characters are one after another."""
_SHOWN_ADDRESS = 200
_DETAILS = frozenset({"auto", "low", "high"})


class Media(NamedTuple):
    """A picture, sound or file. `address` is its URL or data URI; `size` is in bytes, if the data is there."""

    kind: str
    media_type: str | None = None
    size: int | None = None
    address: str | None = None
    name: str | None = None
    detail: str | None = None

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture that a model can load from its address."""
        return self.kind == "image" and self.address is not None

    def as_text(self) -> str:
        """A short text instead of the picture or file."""
        address = self.address
        known = (
            self.name,
            self.media_type,
            None if self.size is None else format_bytes(self.size),
            address[:_SHOWN_ADDRESS] if address is not None and not address.startswith("data:") else None,
        )
        return f"[{' '.join((self.kind, ', '.join(text for text in known if text))).strip()}]"


def media_of(part: Any) -> Media | None:
    """The picture, sound or file of a content part; None for any other part."""
    if isinstance(part, str):
        is_uri = part.startswith("data:") and (is_data_uri(part) or _WRITTEN_URI.fullmatch(part) is not None)
        return _from_address(part) if is_uri else None
    if not isinstance(part, Mapping):
        return None
    kind = part.get("type")
    if kind is None:
        kind = next((name for name in ("image_url", *_GOOGLE, "image", "document") if name in part), None)
    read = _READERS.get(kind) if isinstance(kind, str) else None
    return None if read is None else read(part)


def is_data_uri(text: str) -> bool:
    """Whether a text is a picture, sound or file as a data URI in base64."""
    return text.startswith("data:") and _DATA_URI.fullmatch(text) is not None


def is_data(text: str) -> bool:
    """Whether a text is data in base64, with or without the beginning of a data URI."""
    return is_data_uri(text) or _BASE64.fullmatch(text) is not None


def without_data(value: Any) -> Any:
    """A copy of a JSON value in which data in base64 is replaced by its size."""
    if isinstance(value, str):
        media = media_of(value)
        if media is not None:
            return media.as_text()
        return f"[data, {format_bytes(_decoded_size(value))}]" if _BASE64.fullmatch(value) else value
    if isinstance(value, Mapping):
        return {key: without_data(item) for key, item in value.items()}
    return [without_data(item) for item in value] if isinstance(value, list | tuple) else value


def without_data_in_text(text: str) -> str:
    """The text, in which each data URI and each long piece of base64 is replaced by its type and size."""
    return _DATA_IN_TEXT.sub(_size_of_match, text)


def _size_of_match(match: re.Match[str]) -> str:
    if match["alone"] is not None:
        return f"[data, {format_bytes(_decoded_size(match['alone']))}]"
    media_type = match["type"]
    data = re.sub(r"\s", "", match["data"])
    return Media(_kind_of(media_type), media_type, _decoded_size(data)).as_text()


def _from_address(address: Any, kind: str = "", detail: Any = None, name: Any = None) -> Media | None:
    if not isinstance(address, str) or not address:
        return None
    shown_name = name if isinstance(name, str) and name else None
    shown_detail = detail if isinstance(detail, str) and detail in _DETAILS else None
    if (match := _DATA_URI.fullmatch(address)) is not None:
        size = _decoded_size(match["data"])
    elif (match := _WRITTEN_URI.fullmatch(address)) is not None:
        size = len(unquote_to_bytes(match["data"]))
    else:
        return Media(kind or "file", None, None, address, shown_name, shown_detail)
    media_type = match["type"]
    return Media(kind or _kind_of(media_type), media_type, size, address, shown_name, shown_detail)


def _from_data(media_type: Any, data: Any, kind: str = "") -> Media:
    known_type = media_type if isinstance(media_type, str) and media_type else None
    kind = kind or _kind_of(known_type)
    if not isinstance(data, str):
        return Media(kind, known_type, len(data) if isinstance(data, bytes) else None)
    address = f"data:{known_type};base64,{data}" if known_type and kind == "image" else None
    return Media(kind, known_type, _decoded_size(data), address)


def _kind_of(media_type: str | None) -> str:
    return {"image": "image", "audio": "audio", "video": "video"}.get((media_type or "").partition("/")[0], "file")


def _decoded_size(data: str) -> int:
    return len(data.rstrip("=")) * 3 // 4


def _image_url(part: Mapping[str, Any]) -> Media | None:
    value = part.get("image_url")
    if isinstance(value, Mapping):
        return _from_address(value.get("url"), "image", value.get("detail")) or Media("image")
    found = _from_address(value, "image", part.get("detail"))
    return found or Media("image", name=_text(part.get("file_id")))


def _image(part: Mapping[str, Any]) -> Media | None:
    """Anthropic's `source`, MCP's `data` with `mimeType`, or an address."""
    source = part.get("source")
    inner = part.get("image")
    if isinstance(inner, Mapping):  # Bedrock: {"image": {"format": "png", "source": {"bytes": ...}}}
        inner_source = inner.get("source")
        data = inner_source.get("bytes") if isinstance(inner_source, Mapping) else None
        return _from_data(f"image/{inner.get('format')}", data, "image")
    if isinstance(source, Mapping):
        return _from_source(source, "image")
    if "data" in part:
        return _from_data(part.get("mimeType") or part.get("media_type"), part["data"], "image")
    return _from_address(inner or part.get("url"), "image", part.get("detail")) or Media("image")


def _document(part: Mapping[str, Any]) -> Media | None:
    source = part.get("source")
    media = _from_source(source, "file") if isinstance(source, Mapping) else Media("file")
    return media._replace(address=None, name=_text(part.get("title")))


def _from_source(source: Mapping[str, Any], kind: str) -> Media:
    if isinstance(source.get("url"), str):
        return _from_address(source["url"], kind) or Media(kind)
    if "data" in source:
        return _from_data(source.get("media_type"), source["data"], kind)
    return Media(kind, name=_text(source.get("file_id")))


def _file(part: Mapping[str, Any]) -> Media | None:
    inner = part.get("file")
    body = inner if isinstance(inner, Mapping) else part
    name = _text(body.get("filename")) or _text(body.get("file_id")) or _text(body.get("file_url"))
    data = body.get("file_data")
    media = _from_address(data) if isinstance(data, str) and data.startswith("data:") else None
    if media is None:
        media = Media("file", size=_decoded_size(data) if isinstance(data, str) else None)
    return media._replace(kind="file", name=name, address=None)


def _audio(part: Mapping[str, Any]) -> Media | None:
    inner = part.get("input_audio")
    body = inner if isinstance(inner, Mapping) else part
    data, sound = body.get("data"), _text(body.get("format"))
    size = _decoded_size(data) if isinstance(data, str) else None
    return Media("audio", f"audio/{sound}" if sound else None, size)


def _google(part: Mapping[str, Any]) -> Media | None:
    body = next((part[name] for name in _GOOGLE if isinstance(part.get(name), Mapping)), None)
    if body is None:
        return None
    media_type = body.get("mime_type") or body.get("mimeType")
    address = body.get("file_uri") or body.get("fileUri")
    if isinstance(address, str):
        return Media(_kind_of(_text(media_type)), _text(media_type), None, address)
    return _from_data(media_type, body.get("data"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


_GOOGLE = ("inline_data", "inlineData", "file_data", "fileData")

_READERS = {
    "image_url": _image_url,
    "input_image": _image_url,
    "image": _image,
    "document": _document,
    "file": _file,
    "input_file": _file,
    "input_audio": _audio,
    "audio": _audio,
    **dict.fromkeys(_GOOGLE, _google),
}
