"""When to stop (paper 2.3)."""

import dataclasses
import math


@dataclasses.dataclass
class EarlyStopping:
    """No better PSNR or SSIM on the validation set for `patience` epochs."""

    patience: int
    best_psnr: float = -math.inf
    best_ssim: float = -math.inf
    epochs: int = 0  # Scored so far.
    epochs_without: int = 0

    def update(self, psnr: float, ssim: float) -> None:
        """The scores of one more epoch. A NaN is never better."""
        self.epochs += 1
        better = psnr > self.best_psnr or ssim > self.best_ssim
        self.best_psnr = psnr if psnr > self.best_psnr else self.best_psnr
        self.best_ssim = ssim if ssim > self.best_ssim else self.best_ssim
        self.epochs_without = 0 if better else self.epochs_without + 1

    def due(self) -> bool:
        return self.epochs_without >= self.patience
