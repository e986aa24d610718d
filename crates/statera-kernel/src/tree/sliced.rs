//! What a layout asks for, done for 512 rows to a [`Bits`]: every function here is compiled once for each vector level, whose
//! own file has the rest.

use super::BLOCK_ROWS;
use super::layout::{self, Layout, Leaves, MAX_VECTOR_LEAVES, N_PLANES, Program};

/// Rows to a [`Bits`].
pub(super) const BITS_ROWS: usize = 512;

/// Number of [`Bits`] of a block.
pub(super) const BLOCK_BITS: usize = BLOCK_ROWS / BITS_ROWS;

/// One bit per row.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Bits(pub(super) [u64; 8]);

/// Where one bit per row of a block lies.
pub(super) type Slot<const V: usize> = [Bits; V];
/// Marks of a [`Bits`]' rows: byte j of number k is the mark of row 8j + k, with anything in its upper three bits.
pub(super) type Marks = [Bits; 8];

const ALL: Bits = Bits([u64::MAX; 8]);

/// What a vector level has instructions for.
pub(super) trait Kernel {
    /// A [`Bits`] in registers.
    type Register: Copy;

    /// # Safety
    /// The CPU has the level, as in all functions here.
    unsafe fn load(bits: &Bits) -> Self::Register;
    /// # Safety
    /// As in [`Kernel::load`].
    unsafe fn store(register: Self::Register, bits: &mut Bits);
    /// # Safety
    /// As in [`Kernel::load`].
    unsafe fn and(a: Self::Register, b: Self::Register) -> Self::Register;
    /// # Safety
    /// As in [`Kernel::load`].
    unsafe fn or(a: Self::Register, b: Self::Register) -> Self::Register;
    /// # Safety
    /// As in [`Kernel::load`].
    unsafe fn xor(a: Self::Register, b: Self::Register) -> Self::Register;
    /// Bits of `a` where the mask is set, elsewhere of `b`.
    ///
    /// # Safety
    /// As in [`Kernel::load`].
    unsafe fn select(mask: Self::Register, a: Self::Register, b: Self::Register) -> Self::Register;
    /// Every byte.
    ///
    /// # Safety
    /// As in [`Kernel::load`].
    unsafe fn splat(byte: u8) -> Self::Register;
    /// Each 64 bits shifted up.
    ///
    /// # Safety
    /// As in [`Kernel::load`].
    unsafe fn up<const N: u32>(a: Self::Register) -> Self::Register;
    /// Each 64 bits shifted down.
    ///
    /// # Safety
    /// As in [`Kernel::load`].
    unsafe fn down<const N: u32>(a: Self::Register) -> Self::Register;
    /// The lowest `planes.len()` bits of 64 codes, into word `at` of each plane.
    ///
    /// # Safety
    /// As in [`Kernel::load`].
    unsafe fn code_bits<const V: usize>(codes: &[u8; 64], planes: &mut [Slot<V>], at: usize);
    /// Adds the leaf of each mark to its row's sum, which lies where [`whole_place`] says.
    ///
    /// # Safety
    /// The CPU has the level.
    unsafe fn add_whole(leaves: &[i32; MAX_VECTOR_LEAVES], marks: &Marks, sums: &mut [i32; BITS_ROWS]);
    /// Adds the leaf of each mark to its row's sum, which lies where [`real_place`] says.
    ///
    /// # Safety
    /// The CPU has the level.
    unsafe fn add_real(leaves: &[f64; MAX_VECTOR_LEAVES], marks: &Marks, sums: &mut [f64; BITS_ROWS]);
}

/// From the bits of codes (lowest first), for each t below the length of `out`: which codes are at least t.
///
/// Two bits at a time from below: once `out[t]` is known for the lower bits alone, a code is at least `t + j · 2^k` by its
/// next two bits or, where these are j, by the lower ones.
///
/// # Safety
/// As in [`Kernel::load`].
#[inline(always)]
unsafe fn at_least<K: Kernel, const V: usize>(planes: &[Slot<V>], out: &mut [Slot<V>]) {
    let n = out.len();
    // SAFETY: the caller promises the level.
    unsafe {
        out[0] = [ALL; V];
        let (first, pairs) = planes.split_at(planes.len() % 2);
        let mut known = 1;
        if let [first] = first {
            out[1] = *first;
            known = 2;
        }
        for pair in pairs.chunks_exact(2) {
            for v in 0..V {
                let (low, high) = (K::load(&pair[0][v]), K::load(&pair[1][v]));
                let (both, any) = (K::and(low, high), K::or(low, high));
                // From above, so that each is read before it is overwritten.
                for t in 3 * known..n.min(4 * known) {
                    K::store(K::and(both, K::load(&out[t - 3 * known][v])), &mut out[t][v]);
                }
                for t in 2 * known..n.min(3 * known) {
                    K::store(K::and(high, K::or(low, K::load(&out[t - 2 * known][v]))), &mut out[t][v]);
                }
                for t in known..n.min(2 * known) {
                    K::store(K::or(high, K::and(low, K::load(&out[t - known][v]))), &mut out[t][v]);
                }
                for bits in &mut out[..known.min(n)] {
                    K::store(K::or(any, K::load(&bits[v])), &mut bits[v]);
                }
            }
            known *= 4;
        }
    }
}

/// Runs a program: operation i writes, to slot `first + i`, the second operand where the first is set, elsewhere the third.
///
/// # Safety
/// As in [`Kernel::load`], and every operand and result is below the number of slots.
#[inline(always)]
unsafe fn choose<K: Kernel, const V: usize>(ops: &[[u32; 3]], slots: &mut [Slot<V>], first: usize) {
    debug_assert!(first + ops.len() <= slots.len() && ops.iter().flatten().all(|&i| (i as usize) < slots.len()));
    let slots = slots.as_mut_ptr();
    for (i, &[test, yes, no]) in ops.iter().enumerate() {
        for v in 0..V {
            // SAFETY: the caller promises that these slots exist, and the level.
            unsafe {
                let of = |slot: u32| K::load(&(*slots.add(slot as usize))[v]);
                K::store(K::select(of(test), of(yes), of(no)), &mut (*slots.add(first + i))[v]);
            }
        }
    }
}

/// The marks of each row from the bits of the marks, lowest first.
///
/// # Safety
/// As in [`Kernel::load`].
#[inline(always)]
unsafe fn marks<K: Kernel>(planes: [&Bits; N_PLANES], out: &mut Marks) {
    // SAFETY: the caller promises the level.
    unsafe {
        let [p0, p1, p2, p3, p4] = planes;
        let [p0, p1, p2, p3, p4] = [K::load(p0), K::load(p1), K::load(p2), K::load(p3), K::load(p4)];
        // Pairs of bits of rows 0, 2, 4 and 6 of each byte, and of the others.
        let pairs = K::splat(0x55);
        let (even01, odd01) = (K::select(pairs, p0, K::up::<1>(p1)), K::select(pairs, K::down::<1>(p0), p1));
        let (even23, odd23) = (K::select(pairs, p2, K::up::<1>(p3)), K::select(pairs, K::down::<1>(p2), p3));
        // Four bits of row k in the lower half of each byte, of row k + 4 in the upper.
        let fours = K::splat(0x33);
        let rows04 = K::select(fours, even01, K::up::<2>(even23));
        let rows15 = K::select(fours, odd01, K::up::<2>(odd23));
        let rows26 = K::select(fours, K::down::<2>(even01), even23);
        let rows37 = K::select(fours, K::down::<2>(odd01), odd23);
        let fifth = K::splat(0x10);
        K::store(K::select(fifth, K::up::<4>(p4), rows04), &mut out[0]);
        K::store(K::select(fifth, K::up::<3>(p4), rows15), &mut out[1]);
        K::store(K::select(fifth, K::up::<2>(p4), rows26), &mut out[2]);
        K::store(K::select(fifth, K::up::<1>(p4), rows37), &mut out[3]);
        K::store(K::select(fifth, p4, K::down::<4>(rows04)), &mut out[4]);
        K::store(K::select(fifth, K::down::<1>(p4), K::down::<4>(rows15)), &mut out[5]);
        K::store(K::select(fifth, K::down::<2>(p4), K::down::<4>(rows26)), &mut out[6]);
        K::store(K::select(fifth, K::down::<3>(p4), K::down::<4>(rows37)), &mut out[7]);
    }
}

/// Where in [`BitsSums`] the sum of whole leaves of a row lies: byte `4 l + r` of number k of the marks is entry l of the r-th sixteen
/// of the k-th 64.
#[inline]
pub(super) fn whole_place(row: usize) -> usize {
    (row & 7) << 6 | (row >> 3 & 3) << 4 | row >> 5 & 15
}

/// Where in [`BitsSums`] the sum of real leaves of a row lies: byte `8 l + r` of number k of the marks is entry l of the r-th eight of the
/// k-th 64.
#[inline]
pub(super) fn real_place(row: usize) -> usize {
    (row & 7) << 6 | (row >> 3 & 7) << 3 | row >> 6 & 7
}

/// Sums of the rows of a [`Bits`], in an order of their own.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct BitsSums<T>(pub(super) [T; BITS_ROWS]);

/// Sums of leaves of a block's rows, [`BLOCK_BITS`] per output.
pub(super) enum Sums<'a> {
    Whole(&'a mut [BitsSums<i32>]),
    Real(&'a mut [BitsSums<f64>]),
}

/// Fills the slots of the columns and the sets from codes, `stride` to a column.
///
/// # Safety
/// The CPU has the level of `K`.
#[inline(always)]
pub(super) unsafe fn test_codes<K: Kernel, const V: usize>(
    layout: &Layout,
    codes: &[u8],
    stride: usize,
    slots: &mut [Slot<V>],
) {
    slots[layout::NONE as usize] = [Bits([0; 8]); V];
    slots[layout::ALL as usize] = [ALL; V];
    for (column, codes) in layout.columns.iter().zip(codes.chunks_exact(stride)) {
        let mut planes = [[Bits([0; 8]); V]; 8];
        let planes = &mut planes[..column.n_bits];
        // SAFETY: the caller promises the level.
        unsafe {
            for (at, codes) in codes[..V * BITS_ROWS].as_chunks().0.iter().enumerate() {
                K::code_bits(codes, planes, at);
            }
            at_least::<K, V>(planes, &mut slots[column.slots.clone()]);
        }
        for set in &column.sets {
            let [a, b] = set.from.map(|slot| slots[slot as usize]);
            for ((a, b), to) in a.iter().zip(&b).zip(&mut slots[set.to as usize]) {
                // SAFETY: the caller promises the level.
                unsafe { K::store(K::xor(K::load(a), K::load(b)), to) };
            }
        }
    }
}

/// Adds the leaves of a program's tree to the sums of its output.
///
/// # Safety
/// The CPU has the level of `K`, and `slots` are the layout's.
#[inline(always)]
pub(super) unsafe fn add_tree<K: Kernel, const V: usize>(
    layout: &Layout,
    program: &Program,
    slots: &mut [Slot<V>],
    sums: &mut Sums,
) {
    assert!(slots.len() == layout.n_slots, "the slots are the layout's");
    // SAFETY: operands and results are below the layout's number of slots.
    unsafe { choose::<K, V>(&layout.ops[program.ops.clone()], slots, layout.first_result) };
    for (v, at) in (program.output * BLOCK_BITS..).take(V).enumerate() {
        let mut found = [Bits([0; 8]); 8];
        let [a, b, c, d, e] = program.planes;
        let plane = |slot: u32| &slots[slot as usize][v];
        // SAFETY: the caller promises the level.
        unsafe { marks::<K>([plane(a), plane(b), plane(c), plane(d), plane(e)], &mut found) };
        match (&layout.leaves, &mut *sums) {
            (Leaves::Whole { values, .. }, Sums::Whole(sums)) => {
                // SAFETY: the caller promises the level.
                unsafe { K::add_whole(&values[program.leaves], &found, &mut sums[at].0) };
            }
            (Leaves::Real(values), Sums::Real(sums)) => {
                // SAFETY: the caller promises the level.
                unsafe { K::add_real(&values[program.leaves], &found, &mut sums[at].0) };
            }
            _ => unreachable!("the sums are of the leaves' kind"),
        }
    }
}
