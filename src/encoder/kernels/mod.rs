//! Arithmetic on slices of floats, compiled for several generations of processors.
//!
//! | file | what |
//! |---|---|
//! | [`math`] | functions of one float or one row |
//! | [`panels`] | products with a matrix that is laid out for it once, on the caller's thread |
//! | [`int8`] | the same in 8-bit integers |
//! | [`rounded`] | the weights of those, as they are stored |
//! | [`product`] | products of matrices wherever they lie, on one thread or all |

use rayon::prelude::*;

pub(crate) mod int8;
pub(crate) mod math;
pub(crate) mod panels;
pub(crate) mod product;
pub(crate) mod rounded;

/// Makes a function that is compiled for several generations of processors and runs as the one at hand can. Functions that
/// it calls must be inlined, or they stay compiled for the oldest; those of `core::array` are not. `FMA`, in the body, says
/// whether multiplying and adding is one instruction there; without it, `mul_add` is a slow call. `PAIRS` says whether a
/// row of a panel is one vector, so that it takes two panels to keep two multipliers busy.
macro_rules! wide {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $return:ty)? $body:block) => {
        $(#[$attribute])*
        #[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
        $visibility fn $name($($argument: $type),*) $(-> $return)? {
            #[allow(dead_code, reason = "not all have a use for it")]
            const FMA: bool = cfg!(target_arch = "aarch64") || multiversion::target::target_cfg_f!(target_feature = "fma");
            #[allow(dead_code, reason = "not all have a use for it")]
            const PAIRS: bool = multiversion::target::target_cfg_f!(target_feature = "avx512f");
            $body
        }
    };
}
pub(crate) use wide;

/// On how many threads work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The caller's.
    One,
    /// All of the current pool, where there is enough to do.
    All,
}

impl Threads {
    /// How many.
    pub fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::All => rayon::current_num_threads(),
        }
    }

    /// Does something with each task and returns what came of it, in their order.
    pub(crate) fn map<T: Send, R: Send>(self, tasks: Vec<T>, work: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
        match self {
            Self::One => tasks.into_iter().map(work).collect(),
            Self::All => tasks.into_par_iter().with_max_len(1).map(work).collect(),
        }
    }

    /// Does all tasks, on the caller's thread without noting them down.
    pub(crate) fn for_each<T: Send>(self, tasks: impl Iterator<Item = T>, work: impl Fn(T) + Sync + Send) {
        match self {
            Self::One => tasks.for_each(work),
            Self::All => tasks.collect::<Vec<_>>().into_par_iter().with_max_len(1).for_each(work),
        }
    }
}
