// The losses of the table: which formula a kind is.

template <class T>
void loss(const LossSpec& s, index_t rows, index_t width, const T* y_true, const int32_t* labels, const T* y_pred,
          const T* weight, T scale, T* row_loss, T* dy) {
  const LossArguments<T> a = {rows, width, y_true, labels, y_pred, weight, scale, row_loss, nullptr, dy};
  const bool from_logits = s.p[0] != 0;  // of the kinds that have logits
  switch (s.kind) {
    case LossKind::mean_squared_error: return element_loss<T>(a, SquaredError<T>(s));
    case LossKind::mean_absolute_error: return element_loss<T>(a, AbsoluteError<T>(s));
    case LossKind::binary_crossentropy:
      if (from_logits) return element_loss<T>(a, BinaryFromLogit<T>(s));
      return element_loss<T>(a, BinaryFromProbability<T>(s));
    case LossKind::categorical_crossentropy:
      if (from_logits) return categorical_from_logits<T, false>(s, a);
      return categorical_from_probabilities<T, false>(s, a);
    case LossKind::sparse_categorical_crossentropy:
      if (from_logits) return categorical_from_logits<T, true>(s, a);
      return categorical_from_probabilities<T, true>(s, a);
    case LossKind::mean_absolute_percentage_error: return element_loss<T>(a, PercentageError<T>(s));
    case LossKind::mean_squared_logarithmic_error: return element_loss<T>(a, SquaredLogarithmicError<T>(s));
    case LossKind::huber: return element_loss<T>(a, HuberError<T>(s));
    case LossKind::log_cosh: return element_loss<T>(a, LogCoshError<T>(s));
    case LossKind::poisson: return element_loss<T>(a, PoissonDeviance<T>(s));
    case LossKind::kl_divergence: return element_loss<T>(a, Divergence<T>(s), Across::sum);
    case LossKind::cosine_similarity: return cosine_similarity<T>(s, a);
    case LossKind::hinge: return element_loss<T>(a, HingeError<T, false>(s));
    case LossKind::squared_hinge: return element_loss<T>(a, HingeError<T, true>(s));
    case LossKind::categorical_hinge: return categorical_hinge<T>(a);
    case LossKind::binary_focal_crossentropy:
      if (from_logits) return element_loss<T>(a, BinaryFocal<T, true>(s));
      return element_loss<T>(a, BinaryFocal<T, false>(s));
    case LossKind::categorical_focal_crossentropy: return categorical_focal<T>(s, a);
    case LossKind::categorical_generalized_cross_entropy: return generalized_crossentropy<T>(s, a);
    case LossKind::dice: return dice<T>(s, a);
    case LossKind::tversky: return tversky<T>(s, a);
    case LossKind::count: return;
  }
}

template <class T>
void loss_from_logits(const LossSpec& s, index_t rows, index_t width, const T* y_true, const int32_t* labels,
                      const T* z, const T* weight, T scale, T* row_loss, T* y, T* dz) {
  const LossArguments<T> a = {rows, width, y_true, labels, z, weight, scale, row_loss, y, dz};
  if (s.kind == LossKind::binary_crossentropy) return element_loss<T>(a, BinaryFromLogit<T>(s));
  if (s.kind == LossKind::categorical_crossentropy) return categorical_from_logits<T, false>(s, a);
  return categorical_from_logits<T, true>(s, a);
}
