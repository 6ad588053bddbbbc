"""Losses of depth over video without truth: what one frame shows, seen again from its neighbours, must look the same.

Shapes: B targets, S sources each. Depth is inverse depth in 1/m, (B, 1, H, W); errors are (B, S, 1, H, W).
"""

import torch

from dfd_depth_ros.optics.pinhole import sampled, transfer
from dfd_depth_ros.training.losses import photometric_error, smoothness_loss


def seen_again(
    inverse_depth: torch.Tensor,
    lens: torch.Tensor,
    motion: torch.Tensor,
    source: torch.Tensor,
    source_lens: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A target frame put together from what a source shows (B, C, H, W) at the places where the target's depth says
    that its points lie. motion: (B, 4, 4) from target to source. Returns the picture, the inverse depth that the source
    should see there (B, 1, H, W) and where both are known (B, 1, H, W) bool."""
    place, implied = transfer(inverse_depth, lens, motion, source_lens)
    picture, inside = sampled(source, place)
    return picture, implied, inside & (implied > 0)


def least_error(error: torch.Tensor, inside: torch.Tensor, unmoved: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Minimum reprojection and auto-mask. error: photometric error of the sources as seen again. inside: where it is
    known. unmoved: error of the sources as they are, without any depth. A pixel that one source hides is judged by
    another one; one that fits best where nothing moved (it moves along, or the camera rests) is not judged at all.
    Returns the least error and the mask, (B, 1, H, W). Source: Godard et al. (Monodepth2), ICCV 2019, eqs. 4 and 5."""
    least = torch.where(inside, error, torch.inf).amin(1)
    mask = least < unmoved.amin(1)
    return torch.where(mask, least, 0.0), mask


def disagreement(implied: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """|D - D'| / (D + D') in 0..1 of the depth that one frame implies in another and what that one says itself; the
    same for inverse depths, which these are. Source: Bian et al. (SC-Depth), NeurIPS 2019, equation 3."""
    return (implied - found).abs() / (implied + found).clamp(min=1e-6)


def velocity_loss(motion: torch.Tensor, travelled: torch.Tensor) -> torch.Tensor:
    """| |t| - v dt | in metres: odometry knows how far the camera travelled (B,), not where to; that gives PoseNet, and
    with it depth, its scale. Source: Guizilini et al. (PackNet), CVPR 2020, equation 6."""
    return (motion[:, :3, 3].square().sum(1).clamp(min=1e-12).sqrt() - travelled).abs().mean()


def masked_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted mean; zero where nothing counts."""
    return (values * weight).sum() / weight.sum().clamp(min=1)


def reprojection_terms(
    image: torch.Tensor,
    inverse_depth: torch.Tensor,
    lens: torch.Tensor,
    motions: dict[tuple[int, int], torch.Tensor],
    consistent: bool = False,
) -> dict[str, torch.Tensor]:
    """The losses of clips in which every frame is a target and the nearest two others are its sources.

    image: (B, T, 3, H, W). inverse_depth: (B, T, 1, H, W). lens: (B, T, 5). motions: (B, 4, 4) from frame t to frame s,
    by (t, s). consistent: SC-Depth's losses (mean over sources, weighted by how well depths agree, and that agreement)
    instead of Monodepth2's (the least over sources, auto-mask).
    """
    terms: dict[str, list] = {
        name: [] for name in ('photometric', 'smoothness', *(['consistency'] if consistent else []))
    }
    for target, sources in neighbours(image.shape[1]).items():
        found = [
            seen_again(
                inverse_depth[:, target],
                lens[:, target],
                motions[target, source],
                torch.cat([image[:, source], inverse_depth[:, source]], 1),
                lens[:, source],
            )
            for source in sources
        ]
        picture, implied, inside = (torch.stack(part, 1) for part in zip(*found, strict=True))
        here = image[:, target, None].expand(-1, len(sources), -1, -1, -1)
        error = photometric_error(picture[:, :, :3], here)
        if consistent:
            apart = disagreement(implied, picture[:, :, 3:])
            terms['photometric'].append(masked_mean(error * (1 - apart.detach()), inside))
            terms['consistency'].append(masked_mean(apart, inside))
        else:
            unmoved = photometric_error(image[:, list(sources)], here)
            terms['photometric'].append(masked_mean(*least_error(error, inside, unmoved)))
        terms['smoothness'].append(smoothness_loss(inverse_depth[:, target], image[:, target]))
    return {name: torch.stack(values).mean() for name, values in terms.items()}


def neighbours(frames: int) -> dict[int, tuple[int, ...]]:
    """The two nearest other frames of each frame of a clip; the one other frame where there are two."""
    order = {frame: sorted(range(frames), key=lambda other: (abs(other - frame), other)) for frame in range(frames)}
    return {frame: tuple(others[1:3]) for frame, others in order.items()}
