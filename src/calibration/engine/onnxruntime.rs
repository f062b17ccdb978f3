//! onnxruntime: an engine for every operator and type. Its library is no part of this crate; it is
//! loaded when it is first asked for, once for the process.

use std::{
    borrow::Cow,
    env,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::{
    environment::Environment,
    logging::LogLevel,
    session::{SessionInputValue, builder::GraphOptimizationLevel},
    value::{DynValue, TensorElementType, ValueType},
};

use super::{Engine, Observed, ObservedValue, Session, guarded};
use crate::{
    calibration::Observation,
    error::{Error, Result},
    ir::{DataType, Tensor, type_name},
};

pub(super) const NAME: &str = "onnxruntime";
/// The variable that names the library, as for other programs that load it so.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// Runs models with onnxruntime.
#[derive(Debug, Clone)]
pub struct OnnxruntimeEngine {
    environment: Environment,
    optimization: GraphOptimizationLevel,
}

struct OnnxruntimeSession<'a> {
    observation: &'a Observation,
    session: ort::session::Session,
}

/// The library that the process has loaded and its environment: there cannot be another.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

impl OnnxruntimeEngine {
    /// Loads onnxruntime's library: this one, or the one that the environment variable `ORT_DYLIB_PATH`
    /// names, or the one that the system finds by its usual name (`libonnxruntime.so`). It has to be
    /// version 1.17 or newer.
    ///
    /// # Errors
    /// The library cannot be loaded, or is too old; or the process has loaded another one before.
    pub fn new(library: Option<&Path>) -> Result<Self> {
        let library = match library {
            Some(path) => path.to_owned(),
            None => env::var_os(VARIABLE).filter(|path| !path.is_empty()).map_or_else(
                || format!("{}onnxruntime{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX).into(),
                PathBuf::from,
            ),
        };
        // A name alone is for the system to find, unless there is such a file.
        let library = if library.is_file() { std::path::absolute(&library).unwrap_or(library) } else { library };
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, environment)) = &*loaded {
            if *known != library {
                let reason =
                    format!("is loaded already, from {}; a process can load one library only", known.display());
                return Err(Error::engine(NAME, reason));
            }
            return Ok(Self::as_written(environment.clone()));
        }
        let environment = ort::init_from(&library)
            .map_err(|error| error.to_string())
            .and_then(|builder| builder.with_telemetry(false).build().map_err(|error| error.to_string()))
            .map_err(|error| {
                Error::engine(
                    NAME,
                    format!(
                        "cannot be loaded: {error}; it is in onnxruntime's release archives (lib/) and in its Python \
                         package (onnxruntime/capi/): name the library in {VARIABLE} or with --onnxruntime"
                    ),
                )
            })?;
        environment.set_log_level(LogLevel::Fatal);
        *loaded = Some((library, environment.clone()));
        Ok(Self::as_written(environment))
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Computes what the model says, operator by operator.
    fn as_written(environment: Environment) -> Self {
        Self { environment, optimization: GraphOptimizationLevel::Level1 }
    }

    /// The same with all of onnxruntime's optimizations, as its users run models: operators between QuantizeLinear and
    /// DequantizeLinear become integer kernels. What is watched can stand in the way of that.
    #[must_use]
    pub fn optimized(self) -> Self {
        Self { optimization: GraphOptimizationLevel::All, ..self }
    }
}

impl Engine for OnnxruntimeEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn load<'a>(&self, observation: &'a Observation) -> Result<Box<dyn Session + 'a>> {
        let load = || {
            let mut builder = ort::session::Session::builder(&self.environment)?
                .with_log_level(LogLevel::Fatal)?
                .with_optimization_level(self.optimization)?
                .with_deterministic_compute(true)?;
            builder.commit_from_memory(&observation.to_bytes())
        };
        let session = load()
            .map_err(|error: ort::Error| Error::engine(NAME, format!("cannot load the model: {}", error.message())))?;
        Ok(Box::new(OnnxruntimeSession { observation, session }))
    }
}

impl Session for OnnxruntimeSession<'_> {
    fn run(&mut self, inputs: &[Tensor], observe: &mut dyn FnMut(Observed)) -> Result<()> {
        // An output that is an input is the same memory: it has to last until it was looked at.
        let values = inputs.iter().map(value).collect::<Result<Vec<DynValue>>>()?;
        let names = inputs.iter().map(Tensor::name);
        let feeds: Vec<(&str, SessionInputValue)> = names.zip(values.iter().map(|value| value.into())).collect();
        let failed = |error: ort::Error| Error::engine(NAME, format!("cannot run the model: {}", error.message()));
        // A value that an If gives out without having one is a panic there.
        let outputs = guarded(|| self.session.run(feeds))
            .map_err(|panic| Error::engine(NAME, format!("failed to run the model: {panic}")))?
            .map_err(failed)?;
        // Doubles are few; the others are handed over where onnxruntime has them.
        let mut computed: Vec<(Vec<usize>, Cow<[f32]>)> = Vec::new();
        let sizes = |shape: &ort::value::Shape| shape.iter().map(|&size| size.max(0) as usize).collect::<Vec<_>>();
        for name in self.observation.outputs() {
            let value = &outputs[name.as_str()];
            match value.dtype() {
                ValueType::Tensor { ty: TensorElementType::Float32, .. } => {
                    let (shape, elements) = value.try_extract_tensor::<f32>().map_err(failed)?;
                    computed.push((sizes(shape), elements.into()));
                }
                ValueType::Tensor { ty: TensorElementType::Float64, .. } => {
                    let (shape, elements) = value.try_extract_tensor::<f64>().map_err(failed)?;
                    computed.push((sizes(shape), elements.iter().map(|&number| number as f32).collect()));
                }
                other => {
                    return Err(Error::invalid(format!("'{name}' is a {other}, and only floats are observed")));
                }
            }
        }
        let observed = computed.iter().enumerate();
        let observed = observed.map(|(index, (shape, elements))| ObservedValue { index, shape, elements });
        observe(&observed.filter(|value| !value.elements.is_empty()).collect::<Vec<_>>());
        Ok(())
    }
}

/// A tensor as onnxruntime takes it.
pub(super) fn value(tensor: &Tensor) -> Result<DynValue> {
    let bytes = tensor.bytes()?;
    macro_rules! value {
        ($ty:ty) => {
            value!($ty, |number| number)
        };
        ($ty:ty, $convert:expr) => {{
            let elements = bytes.as_chunks().0.iter().map(|chunk| $convert(<$ty>::from_le_bytes(*chunk)));
            ort::value::Tensor::from_array((tensor.shape(), elements.collect::<Vec<_>>()))
                .map(|value| value.into_dyn())
                .map_err(|error| Error::tensor(tensor.name(), error.message()))
        }};
    }
    match tensor.dtype() {
        DataType::Float => value!(f32),
        DataType::Double => value!(f64),
        DataType::Int8 => value!(i8),
        DataType::Int16 => value!(i16),
        DataType::Int32 => value!(i32),
        DataType::Int64 => value!(i64),
        DataType::Uint8 => value!(u8),
        DataType::Uint16 => value!(u16),
        DataType::Uint32 => value!(u32),
        DataType::Uint64 => value!(u64),
        DataType::Bool => value!(u8, |byte| byte != 0),
        other => {
            let reason = format!("cannot be given '{}', which is {}", tensor.name(), type_name(other));
            Err(Error::engine(NAME, reason))
        }
    }
}
