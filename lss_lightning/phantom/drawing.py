"""Functions that draw shapes on the canvas as tissues and classes, from the skin inwards."""

from __future__ import annotations

import math

import numpy as np

from lss_lightning.phantom.canvas import Canvas, Window
from lss_lightning.phantom.regions import TissueRegions
from lss_lightning.phantom.shapes import Blob, Capsule, FloatArray, enclosing_circle, smooth_union
from lss_lightning.phantom.spine import Spine
from lss_lightning.phantom.texture import Texture
from lss_lightning.phantom.tissue import Tissue
from lss_lightning.phantom.torso import MuscleGroup, Torso
from lss_lightning.phantom.vertebra import Vertebra

# Thickness of the cortical bone, mm. The transition to the marrow has the same thickness.
_CORTEX = 0.8
# Circle that encloses all anatomical classes, in the spine's frame, mm.
_SPINE_CENTRE, _SPINE_RADIUS = (0.0, 25.0), 42.0


def draw_torso(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Draw everything except the spine. The class remains Other."""
    _draw_body(canvas, torso, rng)
    lumps, patches = (canvas.sample_coarse_texture(Texture(rng, (grain, grain))) for grain in (7.0, 14.0))
    for loop in torso.bowel:
        _draw_bowel(canvas, loop, lumps)
    for vessel in torso.vessels:
        window = canvas.window_around(vessel)
        depth = canvas.distance(vessel, window)
        canvas.paint(window, depth < 0, Tissue.MUSCLE)
        canvas.paint(window, depth < -1.0, Tissue.BLOOD)
    fibres = Texture(rng, (1.8, 8.0))
    for group in torso.front_muscles:
        _draw_muscles(canvas, group, fibres, lumps, patches, 0.5 * torso.infiltration)
    trabeculae = Texture(rng, (1.6, 1.6))
    for wing in torso.pelvis:
        window = canvas.window(wing[0].end, 2 * max(wing[0].bounding_radius, wing[1].bounding_radius))
        depth = smooth_union(canvas.distance(wing[0], window), canvas.distance(wing[1], window), 6.0)
        depth += 0.8 * lumps[window]
        _draw_bone(canvas, window, depth, trabeculae)
    for group in torso.back_muscles:
        _draw_muscles(canvas, group, fibres, lumps, patches, torso.infiltration)


def draw_spine(canvas: Canvas, spine: Spine, regions: TissueRegions, rng: np.random.Generator) -> None:
    """Draw the spine over its surroundings, starting with the fat around it."""
    window = canvas.window(_SPINE_CENTRE, _SPINE_RADIUS)
    x, y = canvas.x[window], canvas.y[window]
    posterior, between = (canvas.region_mask(region, window) for region in (regions.posterior, regions.aap))
    arch = _compute_arch_distance(spine, x, y)

    texture = canvas.sample_coarse_texture(Texture(rng, (3.5, 3.5)))[window]
    halo = spine.padding + 1.6 * texture - np.maximum(y - 32, 0) * 0.15
    vessels = np.clip(0.04 + 0.2 * texture, 0, 0.7)
    canvas.paint(window, (arch < halo) & (y > 4) | between, Tissue.FAT, second=Tissue.LIGAMENT, mixture=vessels)
    for side in spine.sides:
        part = canvas.window_around(side.ganglion)
        canvas.paint(part, canvas.distance(side.ganglion, part) < 0, Tissue.ROOT, second=Tissue.FAT, mixture=0.2)
    # The parts of the posterior element that are not bone are the flavum and the joint capsules.
    canvas.paint(window, posterior, Tissue.LIGAMENT)
    _draw_bone(canvas, window, np.where(posterior, arch, np.inf), Texture(rng, (1.6, 1.6)))
    for side in spine.sides:
        _draw_joint(canvas, side.joint)
    _draw_sac(canvas, spine.sac, rng)
    _draw_disc(canvas, spine.disc, rng)
    for key, region in regions.items():
        part = canvas.window_over(region)
        canvas.classify(part, canvas.region_mask(region, part), key)


def draw_vertebra(canvas: Canvas, vertebra: Vertebra, rng: np.random.Generator) -> None:
    """Draw a vertebral body instead of the disc. The class map is not changed."""
    window = canvas.window_around(vertebra.body, margin=12.0)
    x, y = canvas.x[window], canvas.y[window]
    depth = vertebra.body.distance(x, y)
    for pedicle in vertebra.pedicles:
        depth = smooth_union(depth, pedicle.distance(x, y), 3.0)
    trabeculae = Texture(rng, (1.6, 1.6))
    canvas.paint(window, vertebra.disc.distance(x, y) < 0, Tissue.FAT)
    _draw_bone(canvas, window, depth, trabeculae)
    for vein in vertebra.veins:
        part = canvas.window_around(vein)
        # Slow blood is bright on T2 and dark on T1; partial volume mixes it with marrow.
        canvas.paint(part, canvas.distance(vein, part) < 0, Tissue.CSF, second=Tissue.MARROW, mixture=0.5)


def _draw_body(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    everything = (slice(None), slice(None))
    depth = canvas.smooth_distance(torso.body)
    canvas.paint(everything, depth < 0, Tissue.SKIN)
    canvas.paint(everything, depth < -1.8, Tissue.FAT)
    wave = canvas.sample_coarse_texture(Texture(rng, (25.0, 25.0)))
    for line in torso.fat_lines:
        canvas.paint(everything, np.abs(depth + line + wave) < 0.35, Tissue.FAT, second=Tissue.LIGAMENT, mixture=0.5)
    # The abdominal wall: three sheets of muscle separated by fat, which end at the back muscles.
    front = (slice(0, canvas.samples * 3 // 4), slice(None))
    wall = canvas.smooth_distance(torso.cavity)[front]
    sheets = (wall > 0) & (wall < 13) & (canvas.y[front] < 5) & (depth[front] < -3)
    sheets[sheets] = np.remainder(wall[sheets] + 0.4 * wave[front][sheets], 4.5) > 0.8
    canvas.paint(front, sheets, Tissue.MUSCLE, second=Tissue.FAT, mixture=torso.infiltration)


def _draw_bowel(canvas: Canvas, loop: Blob, lumps: FloatArray) -> None:
    """Draw a bowel loop. Its edge is blurred, because the loop runs obliquely through the slice."""
    window = canvas.window_around(loop, margin=4.0)
    depth = canvas.distance(loop, window) + 2 * lumps[window]
    fat = np.clip(0.25 + (depth + 2) / 5, 0, 1)
    canvas.paint(window, depth < 3, Tissue.BOWEL, second=Tissue.FAT, mixture=fat)


def _draw_muscles(
    canvas: Canvas, group: MuscleGroup, fibres: Texture, lumps: FloatArray, patches: FloatArray, infiltration: float
) -> None:
    """Draw the muscles of a compartment, with thin fat septa between them and fat streaks along their fibres."""
    window = canvas.window(*enclosing_circle(group, margin=4.0))
    x, y = canvas.x[window], canvas.y[window]
    depths = [muscle.distance(x, y) for muscle in group]
    hull, septum = depths[0], np.full_like(x, np.inf)
    for depth in depths[1:]:
        septum = np.minimum(septum, np.abs(hull - depth))
        hull = smooth_union(hull, depth, 14.0)
    hull += 0.9 * lumps[window]
    grain = fibres(70 * np.arctan2(x, y + 25), np.hypot(x, y + 25))
    streaks = np.clip((grain - 1.6 + 2.2 * infiltration + 0.6 * patches[window]) * 2, 0, 1)
    edge = np.clip(1.3 + patches[window] - 0.5 * septum, 0, 1)
    share = np.clip(0.35 * infiltration * (1 + grain) + np.maximum(0.85 * streaks, edge), 0, 1)
    canvas.paint(window, hull < 0.9, Tissue.LIGAMENT, second=Tissue.FAT, mixture=0.7)
    canvas.paint(window, hull < 0, Tissue.MUSCLE, second=Tissue.FAT, mixture=share)


def _compute_arch_distance(spine: Spine, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the signed distance from the posterior arch in mm, with its parts merged smoothly into one bone."""
    parts: list[Blob | Capsule] = [*spine.spinous]
    for side in spine.sides:
        parts += [side.lamina, side.inferior, side.superior]
    arch = parts[0].distance(x, y)
    for part in parts[1:]:
        arch = smooth_union(arch, part.distance(x, y), 4.0)
    return arch


def _draw_bone(canvas: Canvas, window: Window, depth: FloatArray, trabeculae: Texture) -> None:
    grain = trabeculae(canvas.x[window], canvas.y[window])
    dense = np.clip(2 + depth / _CORTEX, 0, 1)
    share = np.clip(np.maximum(dense, 0.15 + 0.15 * grain), 0, 1)
    canvas.paint(window, depth < 0, Tissue.MARROW, second=Tissue.CORTEX, mixture=share)


def _draw_joint(canvas: Canvas, joint: Capsule) -> None:
    """Draw the joint space, lined by the cortical bone of both processes."""
    window = canvas.window_around(joint, margin=2.0)
    depth = canvas.distance(joint, window)
    bone = canvas.tissue[window] == Tissue.MARROW
    canvas.paint(window, bone & (depth < 1.0), Tissue.CORTEX, second=Tissue.MARROW, mixture=np.clip(0.6 * depth, 0, 1))
    canvas.paint(window, bone & (depth < 0), Tissue.JOINT)


def _draw_disc(canvas: Canvas, disc: Blob, rng: np.random.Generator) -> None:
    window = canvas.window_around(disc)
    x, y = canvas.x[window], canvas.y[window]
    gauge = disc.gauge(x, y)
    depth = disc.distance(x, y)
    mottle = Texture(rng, (5.0, 5.0))(x, y)
    nucleus = np.clip((0.95 - gauge) / 0.5 + 0.12 * mottle, 0, 1)
    canvas.paint(window, depth < 0, Tissue.LIGAMENT)
    canvas.paint(window, depth < -1.0, Tissue.ANNULUS, second=Tissue.NUCLEUS, mixture=nucleus)


def _draw_sac(canvas: Canvas, sac: Blob, rng: np.random.Generator) -> None:
    """Draw the dura, the CSF and the nerve roots, which sink towards the back because the patient is supine."""
    window = canvas.window_around(sac)
    x, y = canvas.x[window], canvas.y[window]
    depth = sac.distance(x, y)
    canvas.paint(window, depth < 0, Tissue.LIGAMENT)
    canvas.paint(window, depth < -0.4, Tissue.CSF)
    # A narrow sac contains the same roots in less fluid.
    crowding = math.sqrt(150 / sac.area)
    strands = Texture(rng, (1.3, 1.3))(x, y)
    settled = (y - sac.centre[1]) / sac.b
    roots = np.clip((strands + 0.7 * settled + 1.2 * (crowding - 1.15)) * 2, 0, 0.85)
    canvas.paint(window, depth < -0.6, Tissue.CSF, second=Tissue.ROOT, mixture=roots)
