//! Methods that set a field: structs that users build are non-exhaustive, so that a new option breaks nobody.

/// `setters!(Config { with_weights(weights: WeightType) })` gives `Config` a method that takes the value for a field and
/// gives back the whole.
macro_rules! setters {
    ($type:ty { $($name:ident($field:ident: $of:ty)),+ $(,)? }) => {
        impl $type {
            $(
                #[doc = concat!("The same with another [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $name(mut self, $field: $of) -> Self {
                    self.$field = $field;
                    self
                }
            )+
        }
    };
}
pub(crate) use setters;
