"""What a destination plugin may import, and all it needs. Everything else of the gateway may change without notice."""

from gateway.destinations.attachments import (
    check_attachments,
    fault_of_attachment_path,
    select_attachments,
    stream_attachment,
)
from gateway.destinations.destination import (
    API_VERSION,
    AnyDestination,
    Context,
    Delivery,
    Destination,
    Finding,
    Logger,
    Traits,
    Use,
)
from gateway.destinations.hook import hookimpl
from gateway.destinations.options import (
    Expression,
    HtmlTemplate,
    Options,
    PerRow,
    Secret,
    Settings,
    Template,
    UrlTemplate,
    is_template,
    peek,
    subset,
)
from gateway.destinations.whole_object import whole_object
from gateway.errors import DeliveryError, Misconfigured, Rejected, Unavailable, Uncertain
from gateway.http import certainly_unsent, excerpt, proxy_status, retry_after
from gateway.models import Attachment, Event, Notification, Receipt, Record, RecordKind, Repeatable
from gateway.record_answers import every_answer
from gateway.text.json_text import to_json
from gateway.text.mask import Mask
from gateway.text.proxy_address import fault_of_proxy

__all__ = [
    "API_VERSION",
    "AnyDestination",
    "Attachment",
    "Context",
    "Delivery",
    "DeliveryError",
    "Destination",
    "Event",
    "Expression",
    "Finding",
    "HtmlTemplate",
    "Logger",
    "Mask",
    "Misconfigured",
    "Notification",
    "Options",
    "PerRow",
    "Receipt",
    "Record",
    "RecordKind",
    "Rejected",
    "Repeatable",
    "Secret",
    "Settings",
    "Template",
    "Traits",
    "Unavailable",
    "Uncertain",
    "UrlTemplate",
    "Use",
    "certainly_unsent",
    "check_attachments",
    "every_answer",
    "excerpt",
    "fault_of_attachment_path",
    "fault_of_proxy",
    "hookimpl",
    "is_template",
    "peek",
    "proxy_status",
    "retry_after",
    "select_attachments",
    "stream_attachment",
    "subset",
    "to_json",
    "whole_object",
]
