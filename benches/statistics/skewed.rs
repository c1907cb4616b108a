//! A table whose columns are harder than TPC-H's: Zipf's distributions, few values, a hot one, NULLs,
//! rows in the order of their values, columns that go together.

use std::fmt::Write;

use kestrel::tpch::{Chunk, Emit};

use crate::random::Random;

/// At scale 1.
const ROWS: f64 = 1e6;
/// Rows there are at least.
const ROWS_MIN: u64 = 10_000;
/// Values of Zipf's distributions; there are fewer in the table where the rare ones do not come up.
const VALUES: usize = 100_000;
/// Lines that are handed on at a time.
const CHUNK_ROWS: u64 = 5_000;

/// CREATE TABLE, for PostgreSQL as well; how it is distributed comes behind.
pub(crate) const CREATE: &str = "CREATE TABLE skewed (
    k bigint NOT NULL,
    zipf_half int NOT NULL,
    zipf_one int NOT NULL,
    zipf_more int NOT NULL,
    few int NOT NULL,
    hot int NOT NULL,
    sparse int,
    clustered int NOT NULL,
    clustered_day date NOT NULL,
    follows int NOT NULL,
    near numeric(12,2) NOT NULL,
    words text NOT NULL,
    measured double precision NOT NULL
)";

/// Value `n` of so many is `1 / n^exponent` as frequent as the first (Zipf 1949).
struct Zipf {
    /// The part of the rows that has a value up to this one.
    up_to: Vec<f64>,
}

impl Zipf {
    fn new(exponent: f64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=VALUES).map(|n| {
            sum += (n as f64).powf(-exponent);
            sum
        });
        let mut up_to: Vec<f64> = weights.collect();
        up_to.iter_mut().for_each(|weight| *weight /= sum);
        Self { up_to }
    }

    /// Frequent values are anywhere among the others.
    fn draw(&self, random: &mut Random) -> u64 {
        let part = random.part();
        let rank = self.up_to.partition_point(|up_to| *up_to < part).min(VALUES - 1);
        (rank as u64).wrapping_mul(7_919) % VALUES as u64
    }
}

/// Its rows, in the text form of COPY.
pub(crate) fn copy_text(scale: f64, seed: u64, emit: &mut Emit<'_>) {
    let rows = ((ROWS * scale) as u64).max(ROWS_MIN);
    let mut random = Random::new(seed);
    let zipfs = [0.5, 1.0, 1.5].map(Zipf::new);
    let mut k = 0;
    while k < rows {
        let until = rows.min(k + CHUNK_ROWS);
        let mut text = String::new();
        let before = k;
        while k < until {
            line(&mut text, k, &zipfs, &mut random);
            k += 1;
        }
        if !emit(Chunk { text: text.into_bytes(), rows: k - before }) {
            return;
        }
    }
}

fn line(text: &mut String, k: u64, zipfs: &[Zipf; 3], random: &mut Random) {
    let [half, one, more] = zipfs.each_ref().map(|zipf| zipf.draw(random));
    let few = random.below(7);
    let hot = if random.below(10) == 0 { random.below(50_000) } else { 4_711 };
    let sparse = match random.below(10) {
        0..7 => "\\N".to_string(),
        _ => random.below(3_000).to_string(),
    };
    let (clustered, day) = (k / 64, k / 4_000);
    let (year, month, day) = (2_000 + day / 336, day / 28 % 12 + 1, day % 28 + 1);
    let near = one * 10 + random.below(20);
    let word = zipfs[1].draw(random);
    let length = usize::try_from(word % 23).unwrap_or(0);
    // As many small ones as of each larger magnitude.
    let measured = (random.part() * 12.0 - 3.0).exp();
    // A string takes what is written.
    let _ = writeln!(
        text,
        "{k}\t{half}\t{one}\t{more}\t{few}\t{hot}\t{sparse}\t{clustered}\t{year}-{month:02}-{day:02}\t\
         {}\t{near}.{:02}\t{:x}{:.length$}\t{measured:.6}",
        one / 100,
        near % 100,
        word.wrapping_mul(0x9e37_79b9),
        "a word that goes on for a while",
    );
}
