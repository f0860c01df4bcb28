// How a backward op writes its result: integrated gradients sum over steps with `accumulate`.
#pragma once

namespace headspark {

enum class GradientMode { ignore, overwrite, accumulate };

}  // namespace headspark
