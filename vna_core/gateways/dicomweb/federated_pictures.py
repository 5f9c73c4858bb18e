"""Pictures of what members hold: what is drawn is chosen by what they list, and nothing else is brought."""

from __future__ import annotations

from dataclasses import replace

from vna_core.domain.class_pixels import has_no_pixels
from vna_core.federation.bringing import Retrieval, everything
from vna_core.federation.federation import Federation
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.brought import Brought, refuse_nothing
from vna_core.gateways.dicomweb.rendered import Rendered, Thumbnail, left_out_by_class, nothing_to_show
from vna_core.gateways.dicomweb.warning_field import warn
from vna_core.gateways.web.exchange import Exchange
from vna_core.ports.pacs import InventoriedInstance


def may_be_drawn(one: InventoriedInstance) -> bool:
    """Whether an instance may be an image, by its SOP Class; of one that a member does not tell, nobody knows before it is here."""
    return not has_no_pixels(one.sop_class_uid)


class _Pictures(Brought):
    """Brings what may be an image; an instance that is asked for alone, whatever it is."""

    def _images(self, exchange: Exchange, *, ahead: bool) -> Retrieval:
        """Where the images are that are asked for. Raises NotFound, PeerError, UnsupportedMediaType where there are none."""
        wants = everything if "instance" in exchange.path_parameters else may_be_drawn
        retrieval = self._begin(exchange, wants=wants, ahead=ahead)
        if not retrieval.outcome.wanted:
            retrieval.close()
            if retrieval.passed_over and not retrieval.silent:
                raise nothing_to_show(len(retrieval.passed_over))
            refuse_nothing(retrieval)
        return retrieval


class FederatedRendered(_Pictures):
    """GET ``rendered`` of a study, series, instance or frames: a picture, or several as parts of a multipart answer."""

    def __init__(self, federation: Federation, archive: WebArchive) -> None:
        super().__init__(federation, Rendered(archive))

    def _brought(self, exchange: Exchange) -> Retrieval:
        Rendered.check(exchange, 1)
        retrieval = self._images(exchange, ahead=Rendered.takes_several(exchange))
        wanted, listed = retrieval.outcome.wanted, retrieval.located.instances
        try:
            Rendered.check(exchange, len(wanted))
            self._bring(retrieval)
        finally:
            retrieval.close()
        refuse_nothing(retrieval)
        warn(exchange, left_out_by_class((listed[key].sop_class_uid for key in retrieval.passed_over), len(wanted)))
        return replace(retrieval, view=replace(retrieval.view, only=frozenset(wanted)))


class FederatedThumbnail(_Pictures):
    """GET ``thumbnail`` of a study, series, instance or frame: one small picture, of a study or series that of the image in its middle."""

    def __init__(self, federation: Federation, archive: WebArchive) -> None:
        super().__init__(federation, Thumbnail(archive))
        self._can = archive.renderer.can

    def _brought(self, exchange: Exchange) -> Retrieval:
        """The image in the middle of what members list; all images where that one cannot be had or drawn."""
        Thumbnail.rendering(exchange)
        found = self._images(exchange, ahead=False)
        images = [key for key in found.located.instances if key in found.outcome.wanted]
        shown = found.only((images[len(images) // 2],))
        self._bring(shown)
        if len(images) > 1 and not any(map(self._can, shown.view.instances(study=found.located.study))):
            shown = found.only(images)
            self._bring(shown)
        refuse_nothing(shown)
        return shown
