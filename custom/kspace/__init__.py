"""The physics of k-space on plain tensors: centred Fourier transforms, crops, zero filling, shifts."""

from custom.kspace.crop import crop_centre, fourier_resample, pad_centre, phase_ramp
from custom.kspace.fourier import fft_centred, ifft_centred
from custom.kspace.windows import WINDOWS, frequency_window

__all__ = [
    "WINDOWS",
    "crop_centre",
    "fft_centred",
    "fourier_resample",
    "frequency_window",
    "ifft_centred",
    "pad_centre",
    "phase_ramp",
]
