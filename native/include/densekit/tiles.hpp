// What people are told of the tiles of AMX.
#pragma once

namespace densekit {

// "used", "not used: ..." or "not asked for yet"; null where the instruction set in use has none.
const char* tiles_note();

}  // namespace densekit
