"""A first layer that does not see the mean of an image."""

from torch import Tensor, nn

__all__ = ["ZeroSumConv2d", "ZeroSumConv3d"]


class ZeroSumConv2d(nn.Conv2d):
    """A convolution without bias whose kernels sum to 0; the edge of the image is repeated.

    Adding a constant to the image changes nothing behind it. With no bias in any later layer and activations such as
    `LeakyReLU` and `PReLU`, for which f(a x) = a f(x) with a > 0, a network that adds its result to an interpolation
    becomes normalisation-equivariant: f(a x + b) = a f(x) + b. A flat image stays flat, whatever its value.

    Input and output are those of `torch.nn.Conv2d`; an odd `kernel_size` keeps the size of the image.

    Source: networks without bias, Mohan et al. 2020, "Robust and Interpretable Blind Image Denoising via Bias-Free
    Convolutional Neural Networks"; equivariance to a shift, Herbreteau et al. 2023, "Normalization-Equivariant Neural
    Networks with Application to Image Denoising" (there all layers keep it, here the first removes the mean).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, padding_mode="replicate", bias=False
        )

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `(B, in_channels, H, W)`."""
        weight = self.weight - self.weight.mean(dim=[1, 2, 3], keepdim=True)
        return self._conv_forward(input, weight, None)


class ZeroSumConv3d(nn.Conv3d):
    """`ZeroSumConv2d` for volumes: input and output are those of `torch.nn.Conv3d`."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, padding_mode="replicate", bias=False
        )

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `(B, in_channels, D, H, W)`."""
        weight = self.weight - self.weight.mean(dim=[1, 2, 3, 4], keepdim=True)
        return self._conv_forward(input, weight, None)
