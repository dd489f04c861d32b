//! NumPy's default random generator, so that a split drawn in Python can be drawn here.
//!
//! `SeedSequence` spreads a seed over the state of `PCG64` (XSL-RR, 128 bits): M. E. O'Neill,
//! "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
//! Generation", 2014, <https://www.pcg-random.org>; NumPy's documentation, "Bit generators",
//! <https://numpy.org/doc/stable/reference/random/bit_generators/>.

const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;

/// The stream of `numpy.random.default_rng(seed)`.
///
/// # Examples
/// ```
/// use unetr_data::NumpyRng;
///
/// // numpy.random.default_rng(12).permutation(5)
/// assert_eq!(NumpyRng::new(12).permutation(5), [1, 2, 3, 4, 0]);
/// ```
#[derive(Debug, Clone)]
pub struct NumpyRng {
    state: u128,
    increment: u128,
    /// The upper half of the last 64 bits, which the next 32 are taken from.
    upper: Option<u32>,
}

impl NumpyRng {
    /// Seeds the generator as `numpy.random.default_rng(seed)` does.
    pub fn new(seed: u64) -> Self {
        let [a, b, c, d] = seed_sequence(seed);
        let join = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        let mut rng = Self {
            state: 0,
            increment: join(c, d) << 1 | 1,
            upper: None,
        };
        rng.step();
        rng.state = rng.state.wrapping_add(join(a, b));
        rng.step();
        rng
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    /// The next 32 bits: of each 64 the lower half first.
    pub fn next_u32(&mut self) -> u32 {
        self.upper.take().unwrap_or_else(|| {
            let bits = self.next_u64();
            self.upper = Some((bits >> 32) as u32);
            bits as u32
        })
    }

    /// The numbers 0 to `len - 1` in the order of `Generator.permutation(len)`.
    pub fn permutation(&mut self, len: u32) -> Vec<usize> {
        let mut indices: Vec<usize> = (0..len as usize).collect();
        shuffle(&mut indices, || self.next_u32());
        indices
    }

    fn step(&mut self) {
        self.state = self
            .state
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(self.increment);
    }
}

/// Fisher–Yates from the end, each place drawn by masking 32 bits until they are in range, as
/// NumPy does for fewer than 2^32 items.
pub(crate) fn shuffle<T>(items: &mut [T], mut next_u32: impl FnMut() -> u32) {
    for last in (1..items.len()).rev() {
        let mask = usize::MAX >> last.leading_zeros();
        let place = loop {
            let drawn = next_u32() as usize & mask;
            if drawn <= last {
                break drawn;
            }
        };
        items.swap(last, place);
    }
}

/// `SeedSequence(seed).generate_state(4, numpy.uint64)`.
fn seed_sequence(seed: u64) -> [u64; 4] {
    let mut mix_in = Hash::new(0x43B0_D7E5, 0x931E_8875);
    let mut pool = [seed as u32, (seed >> 32) as u32, 0, 0].map(|word| mix_in.hash(word));
    for source in 0..pool.len() {
        for target in 0..pool.len() {
            if source != target {
                pool[target] = mix(pool[target], mix_in.hash(pool[source]));
            }
        }
    }
    let mut spread = Hash::new(0x8B51_F9DD, 0x58F3_8DED);
    std::array::from_fn(|i| {
        let low = spread.hash(pool[2 * i % 4]);
        let high = spread.hash(pool[(2 * i + 1) % 4]);
        u64::from(high) << 32 | u64::from(low)
    })
}

/// A multiplicative hash whose constant moves on at every use.
struct Hash {
    constant: u32,
    multiplier: u32,
}

impl Hash {
    fn new(constant: u32, multiplier: u32) -> Self {
        Self {
            constant,
            multiplier,
        }
    }

    fn hash(&mut self, value: u32) -> u32 {
        let value = value ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.multiplier);
        let value = value.wrapping_mul(self.constant);
        value ^ value >> 16
    }
}

fn mix(x: u32, y: u32) -> u32 {
    let mixed = 0xCA01_F9DD_u32
        .wrapping_mul(x)
        .wrapping_sub(0x4973_F715_u32.wrapping_mul(y));
    mixed ^ mixed >> 16
}
