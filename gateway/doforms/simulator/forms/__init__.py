"""A small library of forms, whose records look as doForms writes them."""

from gateway.doforms.simulator.forms.form import Form, Photo, Sample
from gateway.doforms.simulator.forms.inspection import PHOTO_REPORT, SITE_INSPECTION
from gateway.doforms.simulator.forms.service_call import SERVICE_CALL
from gateway.doforms.simulator.forms.time_sheet import TIME_SHEET
from gateway.doforms.simulator.forms.work_order import WORK_ORDER

FORMS = {form.name: form for form in (SITE_INSPECTION, WORK_ORDER, TIME_SHEET, SERVICE_CALL, PHOTO_REPORT)}
"""By name."""

__all__ = [
    "FORMS",
    "PHOTO_REPORT",
    "SERVICE_CALL",
    "SITE_INSPECTION",
    "TIME_SHEET",
    "WORK_ORDER",
    "Form",
    "Photo",
    "Sample",
]
