from __future__ import annotations

from custom.errors import InputError, MissingFileError, UsageError, input_error_in


def test_wrapped_input_error_is_found() -> None:
    wrapper = RuntimeError("applying transform")
    wrapper.__cause__ = InputError("brain.nii: holds NaN")
    assert str(input_error_in(wrapper)) == "brain.nii: holds NaN"


def test_foreign_error_is_not_an_input_error() -> None:
    assert input_error_in(RuntimeError("out of memory")) is None


def test_exit_codes_and_kinds() -> None:
    missing = MissingFileError("a.nii: no such file")
    assert isinstance(missing, FileNotFoundError)
    assert str(missing) == "a.nii: no such file"
    assert (missing.exit_code, UsageError("").exit_code) == (1, 2)
