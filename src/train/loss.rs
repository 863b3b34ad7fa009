//! What training makes small.
//!
//! - One label of several: cross-entropy with label smoothing ε (Szegedy et al., 2016). With q = (1 − ε) at the label
//!   plus ε/n everywhere (where further labels would do, they share a fifth of what the label has), the loss is −Σ wᵢ Σⱼ qᵢⱼ log pᵢⱼ / Σ wᵢ, wᵢ the weight of the label of row i.
//! - Each label or not: binary cross-entropy, Σⱼ aⱼ·yⱼ·softplus(−zⱼ) + (1 − yⱼ)·softplus(zⱼ), mean over rows and
//!   labels; aⱼ makes up for positives being rare.
//! - Labels of another system: −log Σ_c p(c)·T\[c, label\], mean over rows.
//!
//! A row without a label for a head adds nothing to that head's loss.

use candle_core::{D, Device, Result, Tensor};
use candle_nn::ops::{log_softmax, softmax};

/// What a row says about one head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Nothing.
    Missing,
    /// The label that holds.
    One(usize),
    /// All labels that hold.
    Many(Vec<usize>),
}

/// Keeps the logarithm of a probability finite.
const SMALLEST_PROBABILITY: f64 = 1e-8;

/// What further labels that would do take from the label that holds.
const ALSO_SHARE: f32 = 0.2;

/// Cross-entropy of single-label targets, with the further labels of each; `None` if no row has one.
pub(crate) fn cross_entropy(
    logits: &Tensor,
    targets: &[&Target],
    also: &[&[usize]],
    smoothing: f32,
    weights: &[f32],
) -> Result<Option<Tensor>> {
    let (rows, labels) = logits.dims2()?;
    let mut wanted = vec![0.0_f32; rows * labels];
    let mut total = 0.0;
    for ((row, target), also) in wanted.chunks_exact_mut(labels).zip(targets).zip(also) {
        if let Target::One(label) = target {
            let weight = weights[*label];
            row.fill(weight * smoothing / labels as f32);
            let rest = weight * (1.0 - smoothing);
            let shared = if also.is_empty() { 0.0 } else { rest * ALSO_SHARE };
            row[*label] += rest - shared;
            also.iter().for_each(|other| row[*other] += shared / also.len() as f32);
            total += weight;
        }
    }
    if total <= 0.0 {
        return Ok(None);
    }
    let wanted = Tensor::from_vec(wanted, (rows, labels), &Device::Cpu)?;
    let loss = (wanted * log_softmax(logits, D::Minus1)?)?.sum_all()?;
    (loss * f64::from(-1.0 / total)).map(Some)
}

/// Binary cross-entropy of multi-label targets; `None` if no row has any.
pub(crate) fn binary_cross_entropy(
    logits: &Tensor,
    targets: &[&Target],
    positive_weights: &[f32],
) -> Result<Option<Tensor>> {
    let (rows, labels) = logits.dims2()?;
    let mut positive = vec![0.0_f32; rows * labels];
    let mut negative = vec![0.0_f32; rows * labels];
    let mut known = 0;
    for (row, target) in targets.iter().enumerate() {
        let Target::Many(holding) = target else { continue };
        known += 1;
        negative[row * labels..(row + 1) * labels].fill(1.0);
        for label in holding {
            negative[row * labels + label] = 0.0;
            positive[row * labels + label] = positive_weights[*label];
        }
    }
    if known == 0 {
        return Ok(None);
    }
    let positive = Tensor::from_vec(positive, (rows, labels), &Device::Cpu)?;
    let negative = Tensor::from_vec(negative, (rows, labels), &Device::Cpu)?;
    let loss = ((positive * softplus(&logits.neg()?)?)? + (negative * softplus(logits)?)?)?.sum_all()?;
    (loss * (1.0 / (known * labels) as f64)).map(Some)
}

/// −log Σ_c p(c)·T\[c, label\]; `shares` holds T by label: (labels, categories). `None` if no row has a label.
pub(crate) fn crosswalk(logits: &Tensor, targets: &[&Target], shares: &[Vec<f32>]) -> Result<Option<Tensor>> {
    let (rows, categories) = logits.dims2()?;
    let mut columns = vec![0.0_f32; rows * categories];
    let mut known = vec![0.0_f32; rows];
    for (row, target) in targets.iter().enumerate() {
        if let Target::One(label) = target {
            columns[row * categories..(row + 1) * categories].copy_from_slice(&shares[*label]);
            known[row] = 1.0;
        }
    }
    let count: f32 = known.iter().sum();
    if count <= 0.0 {
        return Ok(None);
    }
    let columns = Tensor::from_vec(columns, (rows, categories), &Device::Cpu)?;
    let known = Tensor::from_vec(known, rows, &Device::Cpu)?;
    let probability = (softmax(logits, D::Minus1)? * columns)?.sum(D::Minus1)?;
    let loss = ((probability + SMALLEST_PROBABILITY)?.log()? * known)?.sum_all()?;
    (loss * f64::from(-1.0 / count)).map(Some)
}

/// log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|), without overflow.
fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;

    fn logits(rows: &[[f32; 3]]) -> Tensor {
        Tensor::from_vec(rows.concat(), (rows.len(), 3), &Device::Cpu).unwrap()
    }

    fn value(loss: Option<Tensor>) -> f32 {
        loss.unwrap().to_scalar().unwrap()
    }

    #[test]
    fn cross_entropy_is_the_weighted_mean_over_labelled_rows() {
        // torch.nn.functional.cross_entropy(z, torch.tensor([2, -100, 0]), weight=torch.tensor([1., 1., 3.]))
        let z = logits(&[[1.0, 2.0, 3.0], [9.0, 9.0, 9.0], [0.5, 0.0, -1.0]]);
        let targets = [&Target::One(2), &Target::Missing, &Target::One(0)];
        let loss = value(cross_entropy(&z, &targets, &[&[][..]; 3], 0.0, &[1.0, 1.0, 3.0]).unwrap());
        assert!((loss - 0.4567).abs() < 1e-4, "{loss}");
        // torch.nn.functional.cross_entropy(z[:1], torch.tensor([2]), label_smoothing=0.3)
        let smoothed = value(cross_entropy(&z, &targets[..2], &[&[][..]; 2], 0.3, &[1.0; 3]).unwrap());
        assert!((smoothed - 0.7076).abs() < 1e-4, "{smoothed}");
    }

    #[test]
    fn further_labels_share_a_fifth() {
        let z = logits(&[[1.0, 2.0, 3.0]]);
        let part = |label| value(cross_entropy(&z, &[&Target::One(label)], &[&[]], 0.0, &[1.0; 3]).unwrap());
        let both = value(cross_entropy(&z, &[&Target::One(1)], &[&[0, 2]], 0.0, &[1.0; 3]).unwrap());
        assert!((both - (0.8 * part(1) + 0.1 * part(0) + 0.1 * part(2))).abs() < 1e-6);
    }

    #[test]
    fn rows_without_labels_give_no_loss_at_all() {
        let z = logits(&[[1.0, 2.0, 3.0]]);
        assert!(cross_entropy(&z, &[&Target::Missing], &[&[]], 0.1, &[1.0; 3]).unwrap().is_none());
        assert!(binary_cross_entropy(&z, &[&Target::Missing], &[1.0; 3]).unwrap().is_none());
        assert!(crosswalk(&z, &[&Target::Missing], &[vec![1.0; 3]]).unwrap().is_none());
    }

    #[test]
    fn binary_cross_entropy_counts_an_empty_list_as_all_negative() {
        // torch.nn.functional.binary_cross_entropy_with_logits(z, y, pos_weight=torch.tensor([2., 1., 1.]))
        let z = logits(&[[0.0, 100.0, -100.0], [-100.0, -100.0, -100.0]]);
        let targets = [&Target::Many(vec![0, 1]), &Target::Many(vec![])];
        let loss = value(binary_cross_entropy(&z, &targets, &[2.0, 1.0, 1.0]).unwrap());
        assert!((loss - 2.0 * 2f32.ln() / 6.0).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn a_crosswalk_of_one_category_a_label_is_cross_entropy() {
        let z = logits(&[[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]]);
        let targets = [&Target::One(1), &Target::One(0)];
        let identity = [vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0], vec![0.0, 0.0, 1.0]];
        let through = value(crosswalk(&z, &targets, &identity).unwrap());
        assert!(
            (through - value(cross_entropy(&z, &targets, &[&[][..]; 2], 0.0, &[1.0; 3]).unwrap())).abs()
                < 1e-5
        );
    }

    #[test]
    fn all_losses_have_gradients() {
        let z = Var::from_tensor(&logits(&[[1.0, -2.0, 0.5]])).unwrap();
        for loss in [
            cross_entropy(z.as_tensor(), &[&Target::One(1)], &[&[]], 0.1, &[1.0; 3]),
            binary_cross_entropy(z.as_tensor(), &[&Target::Many(vec![1])], &[1.0; 3]),
            crosswalk(z.as_tensor(), &[&Target::One(0)], &[vec![0.2, 0.7, 0.1]]),
        ] {
            let grads = loss.unwrap().unwrap().backward().unwrap();
            let grad = grads.get(z.as_tensor()).unwrap().to_vec2::<f32>().unwrap();
            assert!(grad[0].iter().all(|g| g.is_finite() && *g != 0.0), "{grad:?}");
        }
    }
}
