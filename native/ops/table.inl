// Every native op, once, in any order. ops/<name>.cpp holds all that is said of it: DENSEKIT_DEFINE_OP at its end names
// its functions. DENSEKIT_OP: made by a method of Graph. DENSEKIT_NAMED_OP: made by Graph::op, and checked by
// <name>_make in its own file. What runs in Python is OpKind::host, and in no file.
DENSEKIT_OP(dense)
DENSEKIT_OP(activation)
DENSEKIT_OP(dropout)
DENSEKIT_OP(affine)
DENSEKIT_OP(merge)
DENSEKIT_OP(concatenate)
DENSEKIT_OP(activity)
DENSEKIT_NAMED_OP(elementwise)
DENSEKIT_NAMED_OP(reduce)
DENSEKIT_NAMED_OP(rearrange)
DENSEKIT_NAMED_OP(product)
DENSEKIT_NAMED_OP(normalization)
DENSEKIT_NAMED_OP(batch_normalization)
DENSEKIT_NAMED_OP(embedding)
DENSEKIT_NAMED_OP(pick)
DENSEKIT_NAMED_OP(noise)
