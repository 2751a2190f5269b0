"""Results that a hospital's systems understand: reports of predictions in DICOM and FHIR, filed with their study."""

import tlmed.tensorflow_start

from tlmed.dicom_reports.class_codes import read_code
from tlmed.dicom_reports.reporting import Prepared, Wanted, prepare_reports, write_reports

__all__ = ["Prepared", "Wanted", "prepare_reports", "read_code", "write_reports"]
