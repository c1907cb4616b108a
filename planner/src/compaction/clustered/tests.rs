//! Which segments are sorted anew: single decisions, and many of them over a table that grows.

use super::*;

/// Segments of 100 rows are full here.
const FULL: u64 = 100;

/// Rows, and the first and last key; `?` in place of these: unknown; with `!`: not sorted.
fn segments(shown: &str) -> Vec<ClusteredSegment> {
    let segment = |shown: &str| {
        let (rows, keys) = shown.split_once(':').unwrap();
        let size = SegmentSize { rows: rows.parse().unwrap(), deleted: 0 };
        let keys = (keys != "?").then(|| {
            let is_sorted = !keys.ends_with('!');
            let (first, last) = keys.trim_end_matches('!').split_once('-').unwrap();
            KeyRange { first: first.into(), last: last.into(), is_sorted }
        });
        ClusteredSegment { size, keys }
    };
    shown.split_whitespace().map(segment).collect()
}

#[track_caller]
fn check(effort: Effort, shown: &str, expected: &[&[usize]]) {
    let groups = clustered_groups(&segments(shown), effort, FULL);
    assert_eq!(groups, expected, "{effort:?} {shown}");
}

#[test]
fn what_overlaps_is_sorted_together() {
    for effort in [Effort::Automatic, Effort::Vacuum, Effort::Full] {
        check(effort, "", &[]);
        check(effort, "100:a-c", &[]);
        check(effort, "100:a-c 100:d-f 90:g-h", &[]);
        // The same key at the end of one and the beginning of the next.
        check(effort, "100:a-c 100:c-c 100:c-c 90:c-h", &[]);
        check(effort, "100:a-c 100:b-d", &[&[0, 1]]);
    }
    // One overlaps with the next, and others with nothing.
    let three = "100:a-c 100:x-z 100:b-e 100:d-f 100:p-q";
    check(Effort::Vacuum, three, &[&[0, 2, 3]]);
    // Two of three stay where nobody asks.
    check(Effort::Automatic, three, &[]);
    for effort in [Effort::Automatic, Effort::Vacuum] {
        check(effort, "100:a-c 100:x-z 100:b-e 100:y-z", &[&[0, 2], &[1, 3]]);
    }
    check(Effort::Full, "100:a-c 100:x-z 100:b-e", &[&[0, 1, 2]]);
}

#[test]
fn what_is_not_sorted_is_sorted() {
    check(Effort::Vacuum, "100:a-c!", &[&[0]]);
    check(Effort::Vacuum, "100:a-c 100:d-e!", &[&[1]]);
    // It may have any keys.
    check(Effort::Vacuum, "100:a-c 100:x-z 100:?", &[&[0, 1, 2]]);
    // Of many it is less than their share.
    let many = "100:a-b 100:c-d 100:e-f 100:g-h 100:i-j 100:k-l 100:m-n 100:o-p 100:?";
    check(Effort::Vacuum, many, &[&[8]]);
    check(Effort::Automatic, many, &[&[8]]);
    // A few rows wait for more.
    check(Effort::Automatic, "100:a-c 9:d-e!", &[]);
    check(Effort::Vacuum, "100:a-c 9:d-e!", &[&[1]]);
    // More than are sorted at a time.
    let all: Vec<usize> = (0..40).collect();
    let pieces: Vec<&[usize]> = all.chunks(AUTOMATIC_PIECE as usize).collect();
    check(Effort::Automatic, &"100:? ".repeat(40), &pieces);
    check(Effort::Vacuum, &"100:? ".repeat(40), &[&all]);
}

#[test]
fn a_base_stays_until_the_rest_has_its_share() {
    let base = "100:a-b 100:c-d 100:e-f 100:g-h 100:i-j 100:k-l 100:m-n ";
    let with = |more: &str| format!("{base}{more}");
    // A seventh of the base: all of it.
    check(Effort::Vacuum, &with("100:a-n"), &[&[0, 1, 2, 3, 4, 5, 6, 7]]);
    check(Effort::Automatic, &with("100:a-n"), &[]);
    check(Effort::Vacuum, &with("99:a-n"), &[]);
    // Where it does not reach, nothing is written anew.
    check(Effort::Vacuum, &with("99:d-f"), &[&[2, 7]]);
    // The rest is a chain by itself.
    check(Effort::Vacuum, &with("40:a-n 40:b-n"), &[&[7, 8]]);
    // By their size, and not far from each other.
    check(Effort::Vacuum, &with("30:x-y 30:u-v 30:p-q"), &[&[7, 8, 9]]);
    check(Effort::Vacuum, &with("40:x-y 40:p-q 40:u-v"), &[&[8, 9]]);
}

/// A table's segments with all their keys.
#[derive(Clone, Default)]
struct Model {
    segments: Vec<Vec<u16>>,
    written: usize,
}

impl Model {
    fn known(&self) -> Vec<ClusteredSegment> {
        let known = |keys: &Vec<u16>| ClusteredSegment {
            size: SegmentSize { rows: keys.len() as u64, deleted: 0 },
            keys: Some(KeyRange {
                first: keys.first().unwrap().to_be_bytes().to_vec(),
                last: keys.last().unwrap().to_be_bytes().to_vec(),
                is_sorted: true,
            }),
        };
        self.segments.iter().map(known).collect()
    }

    /// Whether there was anything to do.
    fn vacuum(&mut self, effort: Effort) -> bool {
        let groups = clustered_groups(&self.known(), effort, FULL);
        let mut gone: Vec<usize> = groups.iter().flatten().copied().collect();
        for group in &groups {
            let mut keys: Vec<u16> =
                group.iter().flat_map(|at| self.segments[*at].clone()).collect();
            keys.sort_unstable();
            self.written += keys.len();
            self.segments.extend(keys.chunks(FULL as usize).map(<[u16]>::to_vec));
        }
        gone.sort_unstable();
        gone.dedup();
        assert_eq!(gone.len(), groups.iter().map(Vec::len).sum::<usize>(), "one is in two groups");
        gone.into_iter().rev().for_each(|at| drop(self.segments.remove(at)));
        !groups.is_empty()
    }

    /// In how many segments a key may be, at most.
    fn depth(&self) -> usize {
        let has = |keys: &&Vec<u16>, key: u16| keys[0] < key && key < keys[keys.len() - 1];
        let depths = (0..=u16::MAX)
            .step_by(97)
            .map(|key| self.segments.iter().filter(|keys| has(keys, key)).count());
        depths.max().unwrap()
    }
}

/// Numbers that look random (Knuth's MMIX generator).
fn random(state: &mut u64) -> u16 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*state >> 48) as u16
}

/// Loads of any size, over all keys or a few of them: VACUUM comes to an end, then nothing is left to
/// do, and few segments have the same key.
#[test]
fn it_ends_and_the_work_is_bounded() {
    for seed in 0..40_u64 {
        let mut state = seed;
        let mut model = Model::default();
        let mut loaded = 0;
        for load in 0..60 {
            let rows = usize::from(random(&mut state)) % 300 + 1;
            let (from, wide) = match seed % 4 {
                // Everywhere; nearby; one behind the other; equal.
                0 => (0, u16::MAX),
                1 => (random(&mut state), 5000),
                2 => (load * 1000, 1100),
                _ => (random(&mut state), 1),
            };
            let key = |state: &mut u64| from.saturating_add(random(state) % wide);
            let mut keys: Vec<u16> = (0..rows).map(|_| key(&mut state)).collect();
            keys.sort_unstable();
            model.segments.extend(keys.chunks(FULL as usize).map(<[u16]>::to_vec));
            loaded += rows;
            let effort = match seed % 8 {
                0..4 => Effort::Vacuum,
                _ => Effort::Automatic,
            };
            let passes = (0..20).take_while(|_| model.vacuum(effort)).count();
            assert!(passes < 20, "{seed}: {load}");
            assert!(!model.vacuum(effort), "{seed}: {load}");
        }
        let rows: usize = model.segments.iter().map(Vec::len).sum();
        assert_eq!(rows, loaded);
        assert!(model.written <= 8 * loaded, "{seed}: {}", model.written);
        let depth = model.depth();
        assert!(depth <= if seed % 8 < 4 { 4 } else { 10 }, "{seed}: {depth}");
        model.vacuum(Effort::Full);
        assert_eq!(model.depth(), 1, "{seed}");
        assert!(!model.vacuum(Effort::Full), "{seed}");
    }
}
