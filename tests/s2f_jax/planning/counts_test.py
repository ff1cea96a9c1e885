"""Programs as XLA writes them, small enough to count by hand."""

import pytest

from s2f_jax.planning import counts, estimate, hlo
from s2f_jax.planning.chips import CHIPS

# A loop of 75 steps, each one kernel of a product [16, 8] x [8, 24] and one that takes a slice of [75, 16, 24].
LOOP = """HloModule jit_train_step, is_scheduled=true

%slice_one (p0: f32[75,16,24], p1: s32[]) -> f32[1,16,24] {
  %p0 = f32[75,16,24]{2,1,0} parameter(0)
  %p1 = s32[] parameter(1)
  %zero = s32[] constant(0)
  ROOT %taken = f32[1,16,24]{2,1,0} dynamic-slice(%p0, %p1, %zero, %zero), dynamic_slice_sizes={1,16,24}
}

%body (arg: (s32[], f32[16,8], f32[75,16,24], f32[8,24])) -> (s32[], f32[16,8], f32[75,16,24], f32[8,24]) {
  %arg = (s32[], f32[16,8]{1,0}, f32[75,16,24]{2,1,0}, /*index=3*/f32[8,24]{1,0:T(8,128)S(1)}) parameter(0)
  %i = s32[] get-tuple-element(%arg), index=0
  %h = f32[16,8]{1,0} get-tuple-element(%arg), index=1
  %xs = f32[75,16,24]{2,1,0} get-tuple-element(%arg), index=2
  %w = f32[8,24]{1,0:T(8,128)S(1)} get-tuple-element(%arg), index=3
  %dot.1 = f32[16,24]{1,0} dot(%h, %w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  %fusion.1 = f32[1,16,24]{2,1,0} fusion(%xs, %i), kind=kLoop, calls=%slice_one
  ROOT %out = (s32[], f32[16,8]{1,0}, f32[75,16,24]{2,1,0}, f32[8,24]{1,0:T(8,128)S(1)}) tuple(%i, %h, %xs, %w)
}

%condition (arg.1: (s32[], f32[16,8], f32[75,16,24], f32[8,24])) -> pred[] {
  %arg.1 = (s32[], f32[16,8]{1,0}, f32[75,16,24]{2,1,0}, /*index=3*/f32[8,24]{1,0:T(8,128)S(1)}) parameter(0)
  %i.1 = s32[] get-tuple-element(%arg.1), index=0
  %n = s32[] constant(75)
  ROOT %less = pred[] compare(%i.1, %n), direction=LT
}

ENTRY %main (a: (s32[], f32[16,8], f32[75,16,24], f32[8,24])) -> f32[16,8] {
  %a = (s32[], f32[16,8]{1,0}, f32[75,16,24]{2,1,0}, /*index=3*/f32[8,24]{1,0:T(8,128)S(1)}) parameter(0)
  %while.1 = (s32[], f32[16,8]{1,0}, f32[75,16,24]{2,1,0}, f32[8,24]{1,0:T(8,128)S(1)}) while(%a), condition=%condition, body=%body
  %last = f32[16,8]{1,0} get-tuple-element(%while.1), index=1
  ROOT %negate.1 = f32[16,8]{1,0} negate(%last)
}
"""


def entry(lines, more=""):
    return hlo.parse(f"HloModule m\n{more}\nENTRY %main () -> f32[] {{\n{lines}\n}}\n")


def test_a_loop_counts_as_often_as_it_runs():
    module = hlo.parse(LOOP)
    counted = counts.count_program(module)
    assert counted.iterations == 75
    assert counted.kernels_in_loops == 2 * 75 and counted.kernels == 1
    assert counts.products(module) == 75 * 16 * 8 * 24
    # The kernel is in a cache, of all steps' inputs one is read; of the fusion's other operand a number.
    product, piece = 4 * (16 * 8 + 16 * 24), 4 * (2 * 16 * 24 + 1)
    assert counted.bytes == 75 * (product + piece) + 4 * 2 * 16 * 8


def test_what_the_compiler_noted_goes_before_the_condition():
    noted = LOOP.replace(
        "body=%body", 'body=%body, backend_config={"known_trip_count":{"n":"12"},"x":1}'
    )
    assert counts.count_program(hlo.parse(noted)).iterations == 12


def test_a_loop_of_unknown_length_is_refused():
    unknown = LOOP.replace("constant(75)", "parameter(1)")
    with pytest.raises(ValueError, match=r"while\.1: a loop of unknown length"):
        counts.count_program(hlo.parse(unknown))


def test_what_is_no_program_is_refused():
    with pytest.raises(ValueError, match="no ENTRY"):
        hlo.parse("HloModule m\n")


@pytest.mark.parametrize(
    ("window", "image", "out", "pairs"),
    [
        ("size=3 pad=1_1", 5, 5, 5 * 3 - 2),  # At either end one of the kernel lies outside.
        ("size=3", 5, 3, 9),
        ("size=4 stride=2 pad=1_1", 6, 3, 3 * 4 - 2),
        # Transposed, stride 2: of four places two meet zeros in between, and one at either end lies outside.
        ("size=4 pad=2_2 lhs_dilate=2", 3, 6, 6 * 2 - 2),
        ("size=3 rhs_dilate=2", 7, 3, 9),
    ],
)
def test_a_convolution_counts_what_lies_within_the_picture(window, image, out, pairs):
    size = window.split()[0].split("=")[1]
    lines = f"""  %x = f32[2,{image},7]{{2,1,0}} parameter(0)
  %k = f32[{size},7,11]{{2,1,0}} parameter(1)
  ROOT %c = f32[2,{out},11]{{2,1,0}} convolution(%x, %k), window={{{window}}}, dim_labels=b0f_0io->b0f"""
    assert counts.products(entry(lines)) == 2 * 7 * 11 * pairs


def test_a_librarys_convolution_counts_as_the_one_it_stands_for():
    """Of cuDNN's gradients the window is that of the convolution forwards."""
    operands = {
        "Forward": ("f32[2,6,7]", "f32[4,7,11]", "f32[2,3,11]"),
        "BackwardInput": ("f32[2,3,11]", "f32[4,7,11]", "f32[2,6,7]"),
        "BackwardFilter": ("f32[2,6,7]", "f32[2,3,11]", "f32[4,7,11]"),
    }
    for kind, (x, y, out) in operands.items():
        lines = f"""  %x = {x}{{2,1,0}} parameter(0)
  %y = {y}{{2,1,0}} parameter(1)
  ROOT %c = ({out}{{2,1,0}}, u8[0]{{0}}) custom-call(%x, %y), window={{size=4 stride=2 pad=1_1}}, dim_labels=b0f_0io->b0f, custom_call_target="__cudnn$conv{kind}\""""
        assert counts.products(entry(lines)) == 2 * 7 * 11 * 10, kind


COLLECTIVES = {
    "replica_groups={{0,1,2,3},{4,5,6,7}}": 4,
    "replica_groups=[2,4]<=[8]": 4,
    "replica_groups=mesh['axis_0'=2,'axis_1'=4] {'axis_1'}": 4,
    "replica_groups=mesh['axis_0'=2,'axis_1'=4] {'axis_0','axis_1'}": 8,
}


@pytest.mark.parametrize(("groups", "size"), COLLECTIVES.items())
def test_a_collective_counts_what_a_device_gets(groups, size):
    lines = f"""  %x = f32[2,16]{{1,0}} parameter(0)
  ROOT %g = f32[8,16]{{1,0}} all-gather(%x), channel_id=3, {groups}, dimensions={{0}}"""
    (found,) = counts.count_program(entry(lines)).collectives
    assert found == ("all-gather", size, 1, 4 * 8 * 16)


def test_a_collective_that_runs_beside_several_fusions_is_one():
    fused = "".join(
        f"""
%beside.{i} (p.{i}: f32[2,16]) -> f32[8,16] {{
  %p.{i} = f32[2,16]{{1,0}} parameter(0)
  ROOT %g.{i} = f32[8,16]{{1,0}} all-gather(%p.{i}), channel_id=3, replica_groups=[1,4]<=[4], dimensions={{0}}
}}
"""
        for i in range(3)
    )
    lines = "  %x = f32[2,16]{1,0} parameter(0)\n" + "\n".join(
        f"  %f.{i} = f32[8,16]{{1,0}} fusion(%x), kind=kCustom, calls=%beside.{i}" for i in range(3)
    )
    (found,) = counts.count_program(entry(lines, fused)).collectives
    assert found == ("all-gather", 4, 1, 512)


def test_an_asynchronous_collective_gives_what_it_says_after_its_operand():
    lines = """  %x = f32[2,16]{1,0} parameter(0)
  %s = (f32[2,16]{1,0}, f32[8,16]{1,0}) all-gather-start(%x), channel_id=1, replica_groups=[1,4]<=[4]
  ROOT %d = f32[8,16]{1,0} all-gather-done(%s)"""
    (found,) = counts.count_program(entry(lines)).collectives
    assert found == ("all-gather", 4, 1, 512)


def test_an_instruction_takes_the_longer_of_its_products_and_its_traffic():
    lines = """  %x = bf16[1024,1024]{1,0} parameter(0)
  %d = bf16[1024,1024]{1,0} dot(%x, %x), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT %n = bf16[1024,1024]{1,0} negate(%d)"""
    module, chip = entry(lines), CHIPS["v5e"]
    made = estimate.estimate(module, counts.count_program(module), chip)
    product, traffic = 2 * 1024**3 / chip.products, 2 * 1024**2 / chip.bandwidth
    assert product > 3 * traffic
    assert made.products == pytest.approx(product)
    assert made.memory == pytest.approx(2 * traffic)
    assert made.launches == made.links == 0 and made.bound == "products"
    on_gpu = estimate.estimate(module, counts.count_program(module), CHIPS["h100"])
    assert on_gpu.launches == pytest.approx(2 * 3e-6)
