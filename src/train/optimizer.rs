//! AdamW with gradient clipping, and the learning rate's course.
//!
//! m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², w ← w − η(m̂/(√v̂ + ε) + λw) with m̂, v̂ the moments divided by 1 − βᵗ.
//! Loshchilov, Hutter, "Decoupled Weight Decay Regularization" (2019). λ is 0 for biases and normalisations. Before
//! that, all gradients are scaled down together if their common norm is above the limit (Pascanu et al., 2013).

use std::sync::Mutex;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};
use rayon::prelude::*;

use crate::encoder::kernels::math::sum;
use crate::encoder::kernels::wide;

use super::bert::Parameter;
use super::ops::{host, parallel_chunks};

/// Settings of AdamW.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OptimizerSettings {
    /// Highest learning rate of the encoder.
    pub learning_rate: f64,
    /// Highest learning rate of heads and pooler, and of how the scores of n-grams enter the heads.
    pub head_learning_rate: f64,
    /// λ.
    pub weight_decay: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Largest norm of all gradients together.
    pub gradient_clip_norm: f64,
    /// Share of all steps over which the learning rate rises.
    pub warmup_share: f64,
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        Self {
            learning_rate: 4e-4,
            head_learning_rate: 1e-3,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.98,
            epsilon: 1e-6,
            gradient_clip_norm: 1.0,
            warmup_share: 0.1,
        }
    }
}

/// Share of the highest learning rate at a step: a linear rise, then a linear fall to 0.
pub(crate) fn schedule(step: usize, total_steps: usize, warmup_share: f64) -> f64 {
    let warmup_steps = (total_steps as f64 * warmup_share).ceil().max(1.0);
    let step = step as f64;
    if step < warmup_steps {
        return (step + 1.0) / warmup_steps;
    }
    ((total_steps as f64 - step) / (total_steps as f64 - warmup_steps).max(1.0)).clamp(0.0, 1.0)
}

/// First and second moment of one parameter.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

/// AdamW over a fixed list of parameters.
#[derive(Debug)]
pub(crate) struct AdamW {
    settings: OptimizerSettings,
    /// In the order of the parameters.
    moments: Vec<Mutex<Moments>>,
    /// Steps taken.
    pub(crate) steps: usize,
}

impl AdamW {
    pub(crate) fn new(settings: OptimizerSettings, parameters: &[Parameter]) -> Self {
        let zeros = |count: usize| Moments { first: vec![0.0; count], second: vec![0.0; count] };
        let moments = parameters.iter().map(|(_, var)| Mutex::new(zeros(var.elem_count()))).collect();
        Self { settings, moments, steps: 0 }
    }

    /// Moves every parameter that has a gradient; `share` is that of the highest learning rate. Returns the norm of
    /// all gradients before clipping.
    pub(crate) fn step(
        &mut self,
        parameters: &[Parameter],
        gradients: &GradStore,
        share: f64,
    ) -> Result<f64> {
        let norm = gradient_norm(parameters, gradients)?;
        if !norm.is_finite() {
            return Ok(norm);
        }
        let settings = self.settings;
        self.steps += 1;
        let clip = (settings.gradient_clip_norm / norm.max(1e-12)).min(1.0) as f32;
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        for ((name, var), moments) in parameters.iter().zip(&self.moments) {
            let Some(gradient) = gradients.get(var.as_tensor()) else { continue };
            let rate =
                share * if is_head(name) { settings.head_learning_rate } else { settings.learning_rate };
            let update = Update {
                moments,
                clip,
                beta1: settings.beta1 as f32,
                beta2: settings.beta2 as f32,
                epsilon: settings.epsilon as f32,
                rate: (rate / (1.0 - settings.beta1.powi(steps))) as f32,
                second_scale: (1.0 / (1.0 - settings.beta2.powi(steps))) as f32,
                keep: if decays(name) { (1.0 - rate * settings.weight_decay) as f32 } else { 1.0 },
            };
            var.as_detached_tensor().inplace_op2(&gradient.contiguous()?, &update)?;
        }
        Ok(norm)
    }

    /// The moments in the order of the parameters.
    pub(crate) fn moments(&self) -> impl Iterator<Item = Moments> {
        self.moments.iter().map(|moments| lock(moments).clone())
    }

    /// Goes on where another optimiser stood; `false` if its moments do not fit.
    pub(crate) fn restore(&mut self, moments: Vec<Moments>, steps: usize) -> bool {
        let fits = moments.len() == self.moments.len()
            && moments.iter().zip(&self.moments).all(|(new, old)| {
                let count = lock(old).first.len();
                new.first.len() == count && new.second.len() == count
            });
        if fits {
            self.moments = moments.into_iter().map(Mutex::new).collect();
            self.steps = steps;
        }
        fits
    }
}

fn lock(moments: &Mutex<Moments>) -> std::sync::MutexGuard<'_, Moments> {
    moments.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Biases and normalisations are not pulled towards zero.
fn decays(name: &str) -> bool {
    !matches!(name.rsplit('.').next(), Some("bias" | "LayerNorm"))
}

/// What a checkpoint of an encoder does not bring along.
fn is_head(name: &str) -> bool {
    !name.starts_with("embeddings.") && !name.starts_with("encoder.")
}

/// The norm of all gradients taken as one vector.
fn gradient_norm(parameters: &[Parameter], gradients: &GradStore) -> Result<f64> {
    let mut squares = 0.0;
    for (_, var) in parameters {
        let Some(gradient) = gradients.get(var.as_tensor()) else { continue };
        let gradient: Tensor = gradient.contiguous()?;
        let (storage, layout) = gradient.storage_and_layout();
        let parts: Vec<f64> = host(&storage, layout)?
            .par_chunks(parallel_chunks())
            .map(|part| f64::from(sum_of_squares(part)))
            .collect();
        squares += parts.iter().sum::<f64>();
    }
    Ok(squares.sqrt())
}

/// One parameter's step.
struct Update<'a> {
    moments: &'a Mutex<Moments>,
    clip: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    /// η / (1 − β₁ᵗ)
    rate: f32,
    /// 1 / (1 − β₂ᵗ)
    second_scale: f32,
    /// 1 − ηλ
    keep: f32,
}

wide! {
    fn move_weights(weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], update: &Update<'_>) {
        let Update { clip, beta1, beta2, epsilon, rate, second_scale, keep, .. } = *update;
        for (((w, g), m), v) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
            let g = g * clip;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *w = *w * keep - rate * *m / ((*v * second_scale).sqrt() + epsilon);
        }
    }
}

wide! {
    fn sum_of_squares(values: &[f32]) -> f32 {
        sum(values, |x| x * x)
    }
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        weight: &mut CpuStorage,
        wl: &Layout,
        gradient: &CpuStorage,
        gl: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(weight), CpuStorage::F32(gradient)) = (weight, gradient) else {
            bail!("training computes in f32");
        };
        let (Some((start, end)), Some((from, to))) = (wl.contiguous_offsets(), gl.contiguous_offsets())
        else {
            bail!("a parameter is contiguous");
        };
        let mut moments = lock(self.moments);
        let Moments { first, second } = &mut *moments;
        let chunk = parallel_chunks();
        weight[start..end]
            .par_chunks_mut(chunk)
            .zip(gradient[from..to].par_chunks(chunk))
            .zip(first.par_chunks_mut(chunk))
            .zip(second.par_chunks_mut(chunk))
            .for_each(|(((weight, gradient), first), second)| {
                move_weights(weight, gradient, first, second, self);
            });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn minimise(name: &str, start: f32, steps: usize, settings: OptimizerSettings) -> Vec<f32> {
        let var = Var::new(&[start], &Device::Cpu).unwrap();
        let parameters = [(name.to_owned(), &var)];
        let mut optimizer = AdamW::new(settings, &parameters);
        (0..steps)
            .map(|_| {
                let gradients = var.as_tensor().sqr().unwrap().sum_all().unwrap().backward().unwrap();
                optimizer.step(&parameters, &gradients, 1.0).unwrap();
                var.to_vec1::<f32>().unwrap()[0]
            })
            .collect()
    }

    #[test]
    fn takes_the_steps_of_the_reference() {
        // p = torch.nn.Parameter(torch.tensor([1.])); o = torch.optim.AdamW([p], lr=0.1, betas=(0.9, 0.98), eps=1e-6,
        //     weight_decay=0.1); 3 × (p.square().sum().backward(), o.step(), o.zero_grad())
        let settings = OptimizerSettings {
            learning_rate: 0.1,
            weight_decay: 0.1,
            gradient_clip_norm: f64::INFINITY,
            ..OptimizerSettings::default()
        };
        let weights = minimise("encoder.weight", 1.0, 3, settings);
        for (got, expected) in weights.iter().zip(REFERENCE) {
            assert!((got - expected).abs() < 1e-5, "{weights:?}");
        }
    }

    const REFERENCE: [f32; 3] = [0.89, 0.781_516_5, 0.674_893_2];

    #[test]
    fn biases_and_normalisations_do_not_decay() {
        assert!(decays("encoder.layer.0.output.dense.weight") && decays("embeddings.word_embeddings.weight"));
        assert!(!decays("encoder.layer.0.output.dense.bias") && !decays("encoder.layer.0.output.LayerNorm"));
    }

    #[test]
    fn clips_what_is_too_steep() {
        let steep = OptimizerSettings { gradient_clip_norm: 1e-3, ..OptimizerSettings::default() };
        let var = Var::new(&[1e6f32], &Device::Cpu).unwrap();
        let parameters = [("encoder.weight".to_owned(), &var)];
        let mut optimizer = AdamW::new(steep, &parameters);
        let gradients = var.as_tensor().sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let norm = optimizer.step(&parameters, &gradients, 1.0).unwrap();
        assert!((norm - 2e6).abs() < 1.0);
        let first = optimizer.moments().next().unwrap().first[0];
        assert!((first - 1e-4).abs() < 1e-6, "{first}");
    }

    #[test]
    fn the_learning_rate_rises_then_falls() {
        let course: Vec<f64> = (0..20).map(|step| schedule(step, 20, 0.1)).collect();
        assert_eq!(course[..2], [0.5, 1.0]);
        assert!(course[1..].windows(2).all(|pair| pair[1] <= pair[0]));
        assert!(course[19] > 0.0 && schedule(20, 20, 0.1) == 0.0);
    }
}
