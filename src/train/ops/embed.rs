//! The sum of word, position and token type embeddings, and its gradient: each row goes back to where it came from.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::encoder::kernels::math::add_rows;
use crate::encoder::kernels::wide;

use super::rows::{floats, host, rows_a_task};

/// The rows that one token takes from the three tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenRows {
    pub(crate) word: u32,
    pub(crate) position: u32,
    pub(crate) token_type: u32,
}

/// word\[i\] + position\[j\] + `token_type`\[k\] for each token.
pub(crate) fn embed(
    word: &Tensor,
    position: &Tensor,
    token_type: &Tensor,
    tokens: Vec<TokenRows>,
) -> Result<Tensor> {
    word.apply_op3(position, token_type, Embed { tokens })
}

struct Embed {
    tokens: Vec<TokenRows>,
}

impl CustomOp3 for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn cpu_fwd(
        &self,
        word: &CpuStorage,
        wl: &Layout,
        position: &CpuStorage,
        pl: &Layout,
        token_type: &CpuStorage,
        tl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = wl.shape().dims2()?;
        let (word, position, token_type) =
            (floats(word, wl)?, floats(position, pl)?, floats(token_type, tl)?);
        let mut sum = vec![0.0; self.tokens.len() * width];
        let rows = rows_a_task(width);
        sum.par_chunks_mut(rows * width).zip(self.tokens.par_chunks(rows)).for_each(|(sum, tokens)| {
            for (sum, token) in sum.chunks_exact_mut(width).zip(tokens) {
                add_three(
                    sum,
                    row(word, token.word, width),
                    row(position, token.position, width),
                    row(token_type, token.token_type, width),
                );
            }
        });
        Ok((CpuStorage::F32(sum), (self.tokens.len(), width).into()))
    }

    fn bwd(
        &self,
        word: &Tensor,
        position: &Tensor,
        token_type: &Tensor,
        _sum: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (word, (position, token_type)) = rayon::join(
            || self.scatter(word, &grad, |token| token.word),
            || {
                let position = self.scatter(position, &grad, |token| token.position);
                (position, self.scatter(token_type, &grad, |token| token.token_type))
            },
        );
        Ok((Some(word?), Some(position?), Some(token_type?)))
    }
}

impl Embed {
    /// Adds each token's gradient to its row of a table, in the order of the tokens.
    fn scatter(&self, table: &Tensor, grad: &Tensor, index: impl Fn(&TokenRows) -> u32) -> Result<Tensor> {
        let (_, width) = table.dims2()?;
        let (storage, layout) = grad.storage_and_layout();
        let grad = host(&storage, layout)?;
        let mut sums = vec![0.0; table.elem_count()];
        for (token, grad) in self.tokens.iter().zip(grad.chunks_exact(width)) {
            let start = index(token) as usize * width;
            add_rows(&mut sums[start..start + width], grad);
        }
        Tensor::from_vec(sums, table.shape(), table.device())
    }
}

wide! {
    fn add_three(sum: &mut [f32], a: &[f32], b: &[f32], c: &[f32]) {
        for (((sum, a), b), c) in sum.iter_mut().zip(a).zip(b).zip(c) {
            *sum = a + b + c;
        }
    }
}

fn row(table: &[f32], index: u32, width: usize) -> &[f32] {
    let start = index as usize * width;
    &table[start..start + width]
}

#[cfg(test)]
mod tests {
    use super::super::oracle::{assert_same_gradients, random};
    use super::*;

    #[test]
    fn agrees_with_plain_look_ups_and_their_gradients() {
        let tokens: Vec<_> =
            (0..90).map(|i| TokenRows { word: i * 7 % 11, position: i % 9, token_type: i % 2 }).collect();
        let ids = |index: fn(&TokenRows) -> u32| {
            Tensor::new(tokens.iter().map(index).collect::<Vec<_>>(), &candle_core::Device::Cpu).unwrap()
        };
        let inputs = [random(1, &[11, 8]), random(2, &[9, 8]), random(3, &[2, 8])];
        assert_same_gradients(
            &inputs,
            |t| embed(&t[0], &t[1], &t[2], tokens.clone()),
            |t| {
                let word = t[0].index_select(&ids(|token| token.word), 0)?;
                let position = t[1].index_select(&ids(|token| token.position), 0)?;
                let token_type = t[2].index_select(&ids(|token| token.token_type), 0)?;
                (word + position)? + token_type
            },
        );
    }
}
