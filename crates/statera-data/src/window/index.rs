//! From keys to the numbers of items that hold them: open addressing with linear probing, four bytes a place.

use super::slab::NONE;

/// Least places.
const LEAST: usize = 64;

/// Numbers of items by hash; the items themselves hold the keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Index {
    /// A power of two of places; at most 3/4 of them taken.
    places: Vec<u32>,
    n: usize,
}

/// A well-spread hash of a key.
#[inline]
pub(super) fn hash(key: u128) -> u64 {
    // Stafford's mixing of SplitMix64 (2013), over both halves.
    let mix = |x: u64| {
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    mix((key as u64).wrapping_add(0x9e37_79b9_7f4a_7c15) ^ mix((key >> 64) as u64))
}

impl Index {
    pub fn new() -> Index {
        Index { places: vec![NONE; LEAST], n: 0 }
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.places.len() * 4
    }

    /// The item with that hash of which `is` is true.
    #[inline]
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.places.len() - 1;
        let mut place = hash as usize & mask;
        // At least a quarter of the places is free: the loop ends.
        loop {
            match self.places[place] {
                NONE => return None,
                item if is(item) => return Some(item),
                _ => place = (place + 1) & mask,
            }
        }
    }

    /// Adds an item that is not there; `hash_of` tells the hash of any item.
    pub fn insert(&mut self, hash: u64, item: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.n + 1) * 4 > self.places.len() * 3 {
            let grown = vec![NONE; self.places.len() * 2];
            let old = std::mem::replace(&mut self.places, grown);
            old.into_iter().filter(|item| *item != NONE).for_each(|item| self.put(hash_of(item), item));
        }
        self.put(hash, item);
        self.n += 1;
    }

    fn put(&mut self, hash: u64, item: u32) {
        let mask = self.places.len() - 1;
        let mut place = hash as usize & mask;
        while self.places[place] != NONE {
            place = (place + 1) & mask;
        }
        self.places[place] = item;
    }

    /// Removes an item that is there, and moves what it had pushed on back (Knuth, volume 3, algorithm 6.4 R).
    pub fn remove(&mut self, hash: u64, item: u32, hash_of: impl Fn(u32) -> u64) {
        let mask = self.places.len() - 1;
        let mut hole = hash as usize & mask;
        while self.places[hole] != item {
            if self.places[hole] == NONE {
                return;
            }
            hole = (hole + 1) & mask;
        }
        self.n -= 1;
        let mut place = hole;
        loop {
            place = (place + 1) & mask;
            let moved = self.places[place];
            if moved == NONE {
                break;
            }
            let home = hash_of(moved) as usize & mask;
            // It may move back unless its home lies between the hole and where it is.
            if (place.wrapping_sub(home) & mask) >= (place.wrapping_sub(hole) & mask) {
                self.places[hole] = moved;
                hole = place;
            }
        }
        self.places[hole] = NONE;
    }

    pub fn places(&self) -> &[u32] {
        &self.places
    }

    /// The index of a snapshot, of items below `n_used`; `None` if it is none.
    pub fn of(places: Vec<u32>, n_used: u32) -> Option<Index> {
        let n = places.iter().filter(|p| **p != NONE).count();
        let fits = places.len() >= LEAST
            && places.len().is_power_of_two()
            && n * 4 <= places.len() * 3
            && places.iter().all(|p| *p == NONE || *p < n_used);
        fits.then_some(Index { places, n })
    }

    /// Items in it.
    pub fn n(&self) -> usize {
        self.n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_not_removed() {
        // Few different hashes, so that runs are long.
        let hash_of = |item: u32| hash(u128::from(item / 7));
        let mut index = Index::new();
        (0..5_000).for_each(|item| index.insert(hash_of(item), item, hash_of));
        (0..5_000).step_by(3).for_each(|item| index.remove(hash_of(item), item, hash_of));
        for item in 0..5_000 {
            let found = index.find(hash_of(item), |i| i == item);
            assert_eq!(found.is_some(), item % 3 != 0, "{item}");
        }
        assert_eq!(Index::of(index.places().to_vec(), 5_000).as_ref(), Some(&index));
        assert_eq!(Index::of(index.places().to_vec(), 4_999), None);
    }
}
