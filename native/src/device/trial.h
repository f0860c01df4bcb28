// Whether instructions run on this processor, by trying them.
#pragma once

namespace headspark {

/// False where the processor refuses one of them (SIGILL, on this thread). For what its
/// announcement leaves open: the signal's handler is the process's own, and is put back afterwards.
/// False where the system has no such signals.
bool runs_here(void (*instructions)());

}  // namespace headspark
