//! The vector instructions that the kernels are compiled for.

use std::sync::LazyLock;

/// Instructions that this processor has: only [`Level::all`] makes one, and it looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Level(Set);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Set {
    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => is_x86_feature_detected!("avx512f") && Set::Avx2.is_available(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Set::Portable => true,
        }
    }
}

impl Level {
    /// All that the processor has, the widest first.
    pub fn all() -> impl Iterator<Item = Self> {
        [
            #[cfg(target_arch = "x86_64")]
            Set::Avx512,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2,
            Set::Portable,
        ]
        .into_iter()
        .filter(|set| set.is_available())
        .map(Level)
    }

    pub fn best() -> Self {
        static BEST: LazyLock<Level> =
            LazyLock::new(|| Level::all().next().unwrap_or(Level(Set::Portable)));
        *BEST
    }

    pub fn set(self) -> Set {
        self.0
    }

    /// The instruction set's name.
    pub fn name(self) -> Option<&'static str> {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => Some("AVX-512"),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => Some("AVX2"),
            Set::Portable => None,
        }
    }

    /// Rows and columns of a kernel's tile, which is two vectors wide: as many sums as fit into the
    /// registers.
    pub const fn tile(self) -> (usize, usize) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => (8, 32),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => (6, 16),
            Set::Portable => (6, 8),
        }
    }
}

/// Defines `$name(level, ..)`, which runs `$body::<vector, rows>(..)` compiled for that level. With
/// `pub(crate)` or `pub(crate) unsafe` before the name it is such a function; the body of an unsafe
/// one asks for more than the level.
macro_rules! leveled {
    (pub(crate) unsafe $($rest:tt)*) => {
        $crate::layers::level::leveled!(@ [pub(crate) unsafe] $($rest)*);
    };
    (pub(crate) $($rest:tt)*) => {
        $crate::layers::level::leveled!(@ [pub(crate)] $($rest)*);
    };
    (@ [$($before:tt)*] $(#[$doc:meta])* $name:ident = $body:ident($($arg:ident: $type:ty),* $(,)?)) => {
        $(#[$doc])*
        $($before)* fn $name(level: $crate::layers::level::Level, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            #[allow(unused_unsafe, reason = "a body may be safe")]
            unsafe fn avx512($($arg: $type),*) {
                // SAFETY: compiled for these instructions.
                unsafe { $body::<std::arch::x86_64::__m512, 8>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(unused_unsafe, reason = "a body may be safe")]
            unsafe fn avx2($($arg: $type),*) {
                // SAFETY: as above.
                unsafe { $body::<std::arch::x86_64::__m256, 6>($($arg),*) }
            }
            use $crate::layers::level::Set;
            // SAFETY: the processor has a level's instructions.
            unsafe {
                match level.set() {
                    #[cfg(target_arch = "x86_64")]
                    Set::Avx512 => avx512($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    Set::Avx2 => avx2($($arg),*),
                    Set::Portable => $body::<[f32; 4], 6>($($arg),*),
                }
            }
        }
    };
    ($($rest:tt)*) => {
        $crate::layers::level::leveled!(@ [] $($rest)*);
    };
}
pub(crate) use leveled;

/// A vector register of f32.
///
/// # Safety
/// The methods may run only if the processor supports the level's instructions; pointers must be
/// valid for `N` elements, with any alignment. A function that calls them must be inlined into one
/// that is compiled for these instructions, or each call is a real one.
pub(crate) unsafe trait Vector: Copy {
    const N: usize;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn splat(value: f32) -> Self;
    /// a b + self, element by element.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// a b + sum, of numbers, rounded as [`Vector::add_product`] does.
    #[inline(always)]
    fn add_product_of_numbers(sum: f32, a: f32, b: f32) -> f32 {
        a.mul_add(b, sum)
    }
    /// Elements 0, 2, 4, .. of the 2 N elements at `from`.
    unsafe fn load_even(from: *const f32) -> Self;
    /// Where self is greater than `largest`, or is NaN, stores self in `largest` and `tap` in
    /// `place`.
    unsafe fn keep(self, tap: Self, largest: &mut Self, place: &mut Self);
    /// Transposes eight rows of eight elements, `stride` apart: element j of row i goes to
    /// `to + j to_stride + i`.
    #[inline(always)]
    unsafe fn turn(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        for i in 0..8 {
            for j in 0..8 {
                unsafe { *to.add(j * to_stride + i) = *from.add(i * stride + j) };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    // SAFETY: unaligned loads and stores of exactly 16 elements.
    unsafe impl Vector for __m512 {
        const N: usize = 16;
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }
        #[inline(always)]
        unsafe fn load_even(from: *const f32) -> Self {
            unsafe {
                let even =
                    _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
                _mm512_permutex2var_ps(_mm512_loadu_ps(from), even, _mm512_loadu_ps(from.add(16)))
            }
        }
        #[inline(always)]
        unsafe fn keep(self, tap: Self, largest: &mut Self, place: &mut Self) {
            unsafe {
                let better = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self, *largest)
                    | _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self, self);
                *largest = _mm512_mask_mov_ps(*largest, better, self);
                *place = _mm512_mask_mov_ps(*place, better, tap);
            }
        }
        #[inline(always)]
        unsafe fn turn(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
            unsafe { turn(from, stride, to, to_stride) }
        }
    }

    // SAFETY: unaligned loads and stores of exactly 8 elements.
    unsafe impl Vector for __m256 {
        const N: usize = 8;
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { _mm256_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { _mm256_fmadd_ps(a, b, self) }
        }
        #[inline(always)]
        unsafe fn load_even(from: *const f32) -> Self {
            unsafe {
                // 0 2 8 10 4 6 12 14, then put into order.
                let pairs =
                    _mm256_shuffle_ps::<0x88>(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8)));
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(pairs)))
            }
        }
        #[inline(always)]
        unsafe fn keep(self, tap: Self, largest: &mut Self, place: &mut Self) {
            unsafe {
                let better = _mm256_or_ps(
                    _mm256_cmp_ps::<_CMP_GT_OQ>(self, *largest),
                    _mm256_cmp_ps::<_CMP_UNORD_Q>(self, self),
                );
                *largest = _mm256_blendv_ps(*largest, self, better);
                *place = _mm256_blendv_ps(*place, tap, better);
            }
        }
        #[inline(always)]
        unsafe fn turn(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
            unsafe { turn(from, stride, to, to_stride) }
        }
    }

    /// Uses eight AVX registers.
    #[inline(always)]
    unsafe fn turn(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        unsafe {
            let rows: [__m256; 8] = std::array::from_fn(|i| _mm256_loadu_ps(from.add(i * stride)));
            let mut pairs = rows;
            for i in 0..4 {
                pairs[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
                pairs[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
            }
            let mut fours = pairs;
            for h in [0, 4] {
                fours[h] = _mm256_shuffle_ps::<0x44>(pairs[h], pairs[h + 2]);
                fours[h + 1] = _mm256_shuffle_ps::<0xee>(pairs[h], pairs[h + 2]);
                fours[h + 2] = _mm256_shuffle_ps::<0x44>(pairs[h + 1], pairs[h + 3]);
                fours[h + 3] = _mm256_shuffle_ps::<0xee>(pairs[h + 1], pairs[h + 3]);
            }
            for j in 0..4 {
                _mm256_storeu_ps(
                    to.add(j * to_stride),
                    _mm256_permute2f128_ps::<0x20>(fours[j], fours[j + 4]),
                );
                _mm256_storeu_ps(
                    to.add((j + 4) * to_stride),
                    _mm256_permute2f128_ps::<0x31>(fours[j], fours[j + 4]),
                );
            }
        }
    }
}

// SAFETY: unaligned loads and stores of exactly 4 elements; the compiler uses the vector
// instructions of the target processor.
unsafe impl Vector for [f32; 4] {
    const N: usize = 4;
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { from.cast::<Self>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; 4]
    }
    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        let term = |i: usize| Self::add_product_of_numbers(self[i], a[i], b[i]);
        std::array::from_fn(term)
    }
    #[inline(always)]
    fn add_product_of_numbers(sum: f32, a: f32, b: f32) -> f32 {
        // Without a fused multiply-add instruction, `mul_add` would be a slow library call.
        if cfg!(target_arch = "aarch64") {
            a.mul_add(b, sum)
        } else {
            a * b + sum
        }
    }
    #[inline(always)]
    unsafe fn load_even(from: *const f32) -> Self {
        std::array::from_fn(|i| unsafe { *from.add(2 * i) })
    }
    #[inline(always)]
    unsafe fn keep(self, tap: Self, largest: &mut Self, place: &mut Self) {
        for i in 0..4 {
            let better = self[i] > largest[i] || self[i].is_nan();
            largest[i] = if better { self[i] } else { largest[i] };
            place[i] = if better { tap[i] } else { place[i] };
        }
    }
}
