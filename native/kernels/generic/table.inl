template <class T>
constexpr Kernels<T> make_table() {
  Kernels<T> t{};
  if constexpr (sizeof(T) == 4) t = bfloat16_table();
  t.isa = DENSEKIT_ISA_NAME;
  t.lanes = kLanes<T>;
  t.gemm_scratch = gemm_scratch<T>;
  t.gemm = gemm<T>;
  t.activate = activate<T>;
  t.activate_backward = activate_backward<T>;
  t.loss = loss<T>;
  t.loss_from_logits = loss_from_logits<T>;
  t.dropout = dropout<T>;
  t.affine = affine<T>;
  t.add = add<T>;
  t.subtract = subtract<T>;
  t.multiply = multiply<T>;
  t.scale = scale<T>;
  t.maximum = maximum<T>;
  t.minimum = minimum<T>;
  t.add_scaled = add_scaled<T>;
  t.select_backward = select_backward<T>;
  t.l1l2_backward = l1l2_backward<T>;
  t.column_sums = column_sums<T>;
  t.sum = sum<T>;
  t.sum_of_squares = sum_of_squares<T>;
  t.sum_of_magnitudes = sum_of_magnitudes<T>;
  t.update = update<T>;
  t.constrain = constrain<T>;
  t.orthogonal = orthogonal<T>;
  t.adafactor = adafactor<T>;
  t.convert = convert<T>;
  return t;
}
