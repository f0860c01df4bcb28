// What a head's write does to the logits of the answer when the scale of the final norm is frozen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "headspark/buffer.h"
#include "headspark/head_properties.h"

namespace headspark {

/// The directions of the residual stream, [answers, hidden] on the device, whose inner product with
/// a write is its effect on logit(correct) - logit(incorrect): the token sets' mean unembedding
/// through the final norm at `residuals` [answers, hidden] (host), its scale held fixed.
Buffer<float> answer_directions(const Engine& engine, std::span<const AnswerTokens* const> answers,
                                const std::vector<float>& residuals);

/// [answers, heads * head_dim] those directions as the heads of a layer see them, before W_O: their
/// inner product with z is the effect.
std::vector<float> head_directions(const Engine& engine, std::int64_t layer,
                                   const Buffer<float>& directions);

}  // namespace headspark
