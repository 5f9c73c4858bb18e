"""Rendered resources and thumbnails (PS3.18 sections 10.4.1.1.3, 10.4.1.1.4 and 8.3.5)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, Final

from pydicom.uid import UID

from vna_core.access.render import Picture
from vna_core.access.render_request import Rendering
from vna_core.access.view import CatalogueView
from vna_core.domain.errors import LimitExceeded, UnsupportedMediaType
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.frames import MAX_FRAMES, frame_numbers
from vna_core.gateways.dicomweb.held import Selectors, asked_for, held_under, instance_url
from vna_core.gateways.dicomweb.media_types import parse_accept
from vna_core.gateways.dicomweb.multipart_answer import MultipartAnswer, Part
from vna_core.gateways.dicomweb.picture_form import Packaging, PictureForm, chosen, ignored, picture_forms, rendering_of
from vna_core.gateways.dicomweb.recalled import when_recalled
from vna_core.gateways.dicomweb.warning_field import warn
from vna_core.gateways.web.exchange import Exchange

THUMBNAIL: Final = 128
"""Longest side of a thumbnail in pixels, unless asked for otherwise."""
_JSON: Final = "application/json"
_BROKEN_IN_A_ROW: Final = 16
"""Images one after the other that cannot be rendered, after which no more are tried."""
_LOST: Final = 60.0
"""Seconds of decoders that images may take in all and not be rendered, after which no more are tried: each may take `decode.timeout`."""
_ENDED: Final = "So many could not be rendered, or for so long, that no more were tried."
_KINDS: Final = 4
"""Kinds of objects that are named among what is left out."""

Images = list[tuple[HeldInstance, Sequence[int]]]
"""Instances and their frames (1-based), in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a request shows, and what is left out of it because it cannot be rendered."""

    images: Images
    left_out: list[HeldInstance]

    @property
    def number(self) -> int:
        return sum(len(numbers) for _, numbers in self.images)

    def check(self) -> None:
        """Raises UnsupportedMediaType where there is nothing to show, LimitExceeded where there is too much of it."""
        if not self.images:
            raise nothing_to_show(len(self.left_out))
        _check_number(self.number)


def nothing_to_show(instances: int) -> UnsupportedMediaType:
    """The error for what has no picture."""
    return UnsupportedMediaType("Nothing of it is an image that can be rendered.", instances=instances)


def _check_number(pictures: int) -> None:
    if pictures > MAX_FRAMES:
        raise LimitExceeded(
            "These are more pictures than one answer has: ask for its series, instances or frames.",
            limit="pictures",
            maximum=MAX_FRAMES,
            pictures=pictures,
        )


class Rendered:
    """GET ``rendered`` of a study, series, instance or frames: a picture, or several as parts of a multipart answer.

    Of an instance, the first frame unless several pictures are asked for by ``multipart/related``. What is no image that can be rendered is left out and told in
    ``Warning``; in place of an image that turns out to be broken stands a part with its error.
    """

    def __init__(self, archive: WebArchive) -> None:
        self._archive = archive

    @staticmethod
    def takes_several(exchange: Exchange) -> bool:
        """Whether more than one picture would be accepted. Raises UnsupportedMediaType where none would."""
        return any(form.packaging is not Packaging.SINGLE for form in _forms(exchange))

    @staticmethod
    def check(exchange: Exchange, pictures: int) -> None:
        """Raises what a request for at least so many pictures is answered with, whatever they show: UnsupportedMediaType, InvalidRequest, LimitExceeded."""
        rendering_of(exchange)
        chosen(_forms(exchange), Packaging.MULTIPART, pictures)
        _check_number(pictures)

    async def __call__(self, exchange: Exchange) -> None:
        forms = _forms(exchange)
        rendering = rendering_of(exchange)
        path = asked_for(exchange)
        is_one = "instance" in path and "frames" not in path
        first_alone = is_one and forms[0].packaging is not Packaging.MULTIPART
        shown = await when_recalled(self._archive, partial(exchange.blocking, self._shown, exchange.catalogue, path, first_alone))
        default = Packaging.SINGLE if "instance" in path and shown.number == 1 else Packaging.MULTIPART
        media_type, packaging = chosen(forms, default, shown.number)
        warn(exchange, [*left_out(shown), *ignored(exchange)])
        rendering = replace(rendering, media_type=media_type)
        if packaging is Packaging.SINGLE:
            await _send_one(exchange, self._archive, shown.images[0], rendering)
        else:
            await self._send(exchange, shown, rendering)

    def _shown(self, catalogue: CatalogueView, path: dict[str, Any], first_alone: bool) -> _Shown:
        """What is at a path. Raises NotFound, UnsupportedMediaType, LimitExceeded, RecallPending."""
        found = held_under(catalogue, path)
        if "instance" in path:
            found = found[:1]
        can = self._archive.renderer.can
        images = [(held, _numbers(held, path)[: 1 if first_alone else None]) for held in found if can(held)]
        shown = _Shown(images, [held for held in found if not can(held)])
        shown.check()
        self._archive.availability.ensure([held for held, _ in images])
        return shown

    async def _send(self, exchange: Exchange, shown: _Shown, rendering: Rendering) -> None:
        """Answer with parts, each made while those before it are sent."""
        await exchange.watch()
        pictures = self._archive.renderer.pictures(shown.images, self._archive.retriever, rendering, exchange.check)
        try:
            trouble = _Trouble()
            first, broken = await exchange.blocking(_first, pictures, trouble)
            warn(exchange, [f"An image could not be rendered and is left out: {one.error}" for one in broken[:_KINDS]])
            if len(broken) > _KINDS:
                warn(exchange, [f"{len(broken)} images could not be rendered and are left out, those named here among them."])
            answer = MultipartAnswer(rendering.media_type)
            parts = _parts(chain((first,), pictures), trouble, rendering.media_type, exchange.base + self._archive.root)
            await exchange.stream(answer.body(parts), answer.content_type, None)
        finally:
            await exchange.blocking(pictures.close)


class Thumbnail:
    """GET ``thumbnail`` of a study, series, instance or frame: one small picture, of a study or series that of the image in its middle."""

    def __init__(self, archive: WebArchive) -> None:
        self._archive = archive

    @staticmethod
    def rendering(exchange: Exchange) -> Rendering:
        """What a request asks for, whatever it shows. Raises UnsupportedMediaType, InvalidRequest."""
        forms = [one for one in _forms(exchange) if one.packaging is not Packaging.MULTIPART]
        media_type, _ = chosen(forms, Packaging.SINGLE, 1)
        return replace(rendering_of(exchange, THUMBNAIL), media_type=media_type)

    async def __call__(self, exchange: Exchange) -> None:
        rendering = self.rendering(exchange)
        path = asked_for(exchange)
        image = await when_recalled(self._archive, partial(exchange.blocking, self._image, exchange.catalogue, path))
        warn(exchange, ignored(exchange))
        await _send_one(exchange, self._archive, image, rendering)

    def _image(self, catalogue: CatalogueView, path: dict[str, Any]) -> tuple[HeldInstance, Sequence[int]]:
        """The instance that stands for a path, and its frame. Raises NotFound, UnsupportedMediaType, RecallPending."""
        found = held_under(catalogue, path)
        images = [held for held in found if self._archive.renderer.can(held)]
        if not images:
            raise nothing_to_show(len(found))
        held = images[0] if "instance" in path else images[len(images) // 2]
        numbers = _numbers(held, path) if "frames" in path else [1]
        if len(numbers) != 1:
            raise UnsupportedMediaType("A thumbnail is of one frame.")
        self._archive.availability.ensure([held])
        return held, numbers


def _forms(exchange: Exchange) -> list[PictureForm]:
    """Forms that a request accepts, best first. Raises UnsupportedMediaType."""
    return picture_forms(parse_accept((exchange.parameter("accept"), exchange.header(b"accept"))))


async def _send_one(
    exchange: Exchange, archive: WebArchive, image: tuple[HeldInstance, Sequence[int]], rendering: Rendering
) -> None:
    """Answer with the picture itself."""
    held, numbers = image
    one = replace(rendering, frame=numbers[0])
    await exchange.watch()
    picture = await exchange.blocking(archive.renderer.render, held, archive.retriever, one, exchange.check)
    await exchange.octets(picture, rendering.media_type)


def _numbers(held: HeldInstance, path: dict[str, Any]) -> Sequence[int]:
    """Frames of an instance that are asked for. Raises InvalidRequest, NotFound."""
    count = max(1, held.number_of_frames)
    return frame_numbers(path["frames"], count) if "frames" in path else range(1, count + 1)


@dataclass(slots=True)
class _Trouble:
    """Images of one answer that could not be rendered: how many there were in a row, and for how long all of them were worked on."""

    in_a_row: int = 0
    seconds: float = 0.0

    def ends(self, one: Picture) -> bool:
        """Count a picture; whether no more are to be tried."""
        if one.error is None:
            self.in_a_row = 0
            return False
        self.in_a_row, self.seconds = self.in_a_row + 1, self.seconds + one.seconds
        return self.in_a_row == _BROKEN_IN_A_ROW or self.seconds > _LOST


def _first(pictures: Generator[Picture, None, None], trouble: _Trouble) -> tuple[Picture, list[Picture]]:
    """The first picture that could be made, and those before it that could not. Raises the error of the first when there is none among so many as are tried."""
    broken: list[Picture] = []
    for one in pictures:
        if one.error is None:
            return one, broken
        broken.append(one)
        if trouble.ends(one):
            break
    assert broken[0].error is not None, "there is something to show"
    raise broken[0].error


def _parts(pictures: Iterator[Picture], trouble: _Trouble, media_type: str, base: str) -> Iterator[Part]:
    """Pictures as parts, each with where it alone can be had; the error of one that could not be made in its place."""
    selectors = Selectors()
    held, selector = None, ""
    for one in pictures:
        ends = trouble.ends(one)
        if one.held is not held:
            held, selector = one.held, selectors.of_held(one.held)
        frame = f"/frames/{one.frame}" if one.held.number_of_frames > 1 else ""
        octets, kind = one.octets, media_type
        if one.error is not None:
            octets, kind = json.dumps(one.error.as_dict() | ({"ended": _ENDED} if ends else {})).encode(), _JSON
        yield Part(kind, len(octets), partial(iter, (octets,)), f"{instance_url(base, one.held)}{frame}/rendered{selector}")
        if ends:
            return


def left_out(shown: _Shown) -> list[str]:
    """What is left out, as a sentence for whoever asks."""
    kinds = (
        _class_name(one.sop_class_uid)
        if one.pixel_data is None or not one.number_of_frames
        else f"{_class_name(one.sop_class_uid)} in {UID(one.transfer_syntax_uid).name}"
        for one in shown.left_out
    )
    return _left_out(kinds, len(shown.images))


def left_out_by_class(sop_class_uids: Iterable[str], images: int) -> list[str]:
    """The same of instances that are known by their SOP Classes alone, beside so many images."""
    return _left_out(map(_class_name, sop_class_uids), images)


def _class_name(sop_class_uid: str) -> str:
    return str(UID(sop_class_uid).name)


def _left_out(names: Iterable[str], images: int) -> list[str]:
    kinds = Counter(names)
    if not kinds:
        return []
    named = "; ".join(f"{number} {kind}" for kind, number in kinds.most_common(_KINDS))
    more = "" if len(kinds) <= _KINDS else "; and others"
    number = kinds.total()
    return [f"{number} of {number + images} instances are no images that can be rendered, and are left out: {named}{more}."]
