//! Items of equal size in pages of words, with a list of free places: what grows never moves, and what is freed is used again.
//!
//! Everything that a state keeps a key or an event lies in such pages, so that a snapshot is a copy of them.

/// No item.
pub(super) const NONE: u32 = u32::MAX;
/// Binary logarithm of the items of a page.
const PAGE_BITS: u32 = 10;
const PAGE_ITEMS: u32 = 1 << PAGE_BITS;

/// Items of `n_words` words each, by number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slab {
    n_words: usize,
    pages: Vec<Box<[u32]>>,
    /// Items that were ever used.
    n_used: u32,
    /// The first free item among them; its first word is the next one.
    free: u32,
    n_free: u32,
}

impl Slab {
    pub fn new(n_words: usize) -> Slab {
        Slab { n_words: n_words.max(1), pages: Vec::new(), n_used: 0, free: NONE, n_free: 0 }
    }

    /// Items that were ever used; all numbers are below.
    pub fn n_used(&self) -> u32 {
        self.n_used
    }

    /// Items in use.
    pub fn n_live(&self) -> u32 {
        self.n_used - self.n_free
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.pages.len() * (PAGE_ITEMS as usize * self.n_words * 4 + size_of::<Box<[u32]>>())
    }

    /// A zeroed item. Who takes keeps their number below 2^32 - 1.
    pub fn take(&mut self) -> u32 {
        if self.free != NONE {
            let item = self.free;
            let words = self.get_mut(item);
            let next = words[0];
            words.fill(0);
            self.free = next;
            self.n_free -= 1;
            return item;
        }
        assert!(self.n_used < NONE, "items are counted in 32 bits");
        if self.n_used as usize >= self.pages.len() << PAGE_BITS {
            self.pages.push(vec![0; PAGE_ITEMS as usize * self.n_words].into_boxed_slice());
        }
        self.n_used += 1;
        self.n_used - 1
    }

    /// Frees an item.
    pub fn release(&mut self, item: u32) {
        let free = self.free;
        let words = self.get_mut(item);
        words.fill(0);
        words[0] = free;
        self.free = item;
        self.n_free += 1;
    }

    #[inline]
    pub fn get(&self, item: u32) -> &[u32] {
        let first = (item & (PAGE_ITEMS - 1)) as usize * self.n_words;
        &self.pages[(item >> PAGE_BITS) as usize][first..first + self.n_words]
    }

    #[inline]
    pub fn get_mut(&mut self, item: u32) -> &mut [u32] {
        let first = (item & (PAGE_ITEMS - 1)) as usize * self.n_words;
        &mut self.pages[(item >> PAGE_BITS) as usize][first..first + self.n_words]
    }

    /// What a snapshot keeps beside the pages: words of an item, items ever used, the free list.
    pub fn head(&self) -> [u32; 4] {
        [self.n_words as u32, self.n_used, self.free, self.n_free]
    }

    pub fn pages(&self) -> &[Box<[u32]>] {
        &self.pages
    }

    /// Words of a page.
    pub fn page_words(&self) -> usize {
        PAGE_ITEMS as usize * self.n_words
    }

    /// Pages that a head of [`Slab::head`] goes with.
    pub fn n_pages(n_used: u32) -> usize {
        (n_used as usize).div_ceil(PAGE_ITEMS as usize)
    }

    /// The slab of a snapshot; `None` if its parts do not fit together.
    pub fn of(n_words: usize, head: [u32; 4], pages: Vec<Box<[u32]>>) -> Option<Slab> {
        let [words, n_used, free, n_free] = head;
        let slab = Slab { n_words, pages, n_used, free, n_free };
        let fits = words as usize == n_words
            && n_free <= n_used
            && slab.pages.len() == Slab::n_pages(n_used)
            && slab.pages.iter().all(|p| p.len() == slab.page_words());
        // The list of free items has as many as it says, and ends.
        let mut at = free;
        for _ in 0..if fits { n_free } else { 0 } {
            if at >= n_used {
                return None;
            }
            at = slab.get(at)[0];
        }
        (fits && at == NONE).then_some(slab)
    }
}

/// A whole number of 64 bits in two words.
#[inline]
pub(super) fn i64_at(words: &[u32], at: usize) -> i64 {
    (u64::from(words[at]) | u64::from(words[at + 1]) << 32) as i64
}

#[inline]
pub(super) fn set_i64(words: &mut [u32], at: usize, value: i64) {
    words[at] = value as u32;
    words[at + 1] = (value as u64 >> 32) as u32;
}

/// A whole number of 128 bits in four words.
#[inline]
pub(super) fn u128_at(words: &[u32], at: usize) -> u128 {
    (0..4).fold(0, |value, i| value | u128::from(words[at + i]) << (32 * i))
}

#[inline]
pub(super) fn set_u128(words: &mut [u32], at: usize, value: u128) {
    for i in 0..4 {
        words[at + i] = (value >> (32 * i)) as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_items_are_used_again_and_zeroed() {
        let mut slab = Slab::new(3);
        let items: Vec<u32> = (0..2_000).map(|_| slab.take()).collect();
        assert_eq!(items, (0..2_000).collect::<Vec<_>>());
        set_i64(slab.get_mut(1_999), 1, -5);
        assert_eq!(i64_at(slab.get(1_999), 1), -5);
        slab.release(7);
        slab.release(1_999);
        assert_eq!((slab.n_live(), slab.take(), slab.get(1_999)), (1_998, 1_999, &[0, 0, 0][..]));
        assert_eq!((slab.take(), slab.n_live()), (7, 2_000));
        let copy = Slab::of(3, slab.head(), slab.pages().to_vec()).unwrap();
        assert_eq!(copy, slab);
        assert_eq!(Slab::of(3, [3, 2_000, 5, 1], slab.pages().to_vec()), None);
        let mut words = [0; 4];
        set_u128(&mut words, 0, u128::MAX - 3);
        assert_eq!(u128_at(&words, 0), u128::MAX - 3);
    }
}
