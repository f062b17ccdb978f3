//! The graph that passes work on, and the two ways between it and the format's messages.
//!
//! A [`Model`] is a bipartite graph of operators and values over all scopes: the main graph, the
//! bodies nested in operators, the model's own functions. An operator keeps its message as a shell;
//! only names, nested graphs and tensors move out into the graph, so no field can be forgotten.
//!
//! Invariants ([`Model::verify`] states them one by one): names are unique in a scope; every value
//! has one origin (an operator, an initializer, or being an input); operators can be put in order.

mod constant;
mod dissolve;
mod dtype;
mod edit;
mod element;
mod export;
mod header;
mod import;
mod model;
mod op;
mod order;
pub(crate) mod rope;
mod sequence;
pub(crate) mod steps;
mod tensor;
mod tensor_type;
mod verify;
mod widen;

pub use dtype::{DataType, element_bits, is_float, type_name};
pub use edit::NewOp;
pub use element::Element;
pub(crate) use export::{AllInline, Placed, Placement, TensorPlace, export};
pub(crate) use import::{ExternalData, import};
pub(crate) use model::ScopeShell;
pub use model::{Interface, Model, OpId, Scope, ScopeId, Use, Value, ValueId};
pub(crate) use op::normal_domain;
pub use op::{Attribute, AttributePlace, Body, Op};
pub use tensor::{Compute, Tensor};
pub use tensor_type::{Dim, TensorType};
pub(crate) use widen::is_half;
