// Work that a device does side by side: its order, its scratch memory, its place in records, and
// the products of layers that read the same rows. The emulated device takes the kernels of branches
// in turns, so that what two of them share by mistake does not hold what one of them wrote.
#include <doctest/doctest.h>

#include "cuda/device.h"
#include "cuda/layer_product.h"
#include "cuda_emulation/library_backend.h"
#include "cuda_emulation/runtime_emulated.h"
#include "headspark/buffer.h"
#include "headspark/error.h"
#include "op_suite.h"
#include "stored_layer.h"

namespace headspark::test {
namespace {

using namespace cuda;

using Works = std::vector<std::function<void()>>;

/// Writes its number into scratch memory, and then reads it from there into `to`.
struct Stamp {
  Device& device;
  std::int32_t* to;
  std::int32_t number;
  std::int64_t bytes = 4;

  void operator()() const {
    auto* const kept = static_cast<std::int32_t*>(device.scratch(ScratchSlot::product_sums, bytes));
    queue(device.stream(), [kept, number = number] { *kept = number; });
    queue(device.stream(), [kept, to = to] { *to = *kept; });
  }
};

std::vector<float> layers_apart(const Context& context, const std::vector<LinearWeight>& layers,
                                const Buffer<float>& x, std::int64_t rows, bool together) {
  std::vector<Buffer<float>> results;
  std::vector<LayerOutput> outputs;
  for (const LinearWeight& layer : layers) {
    results.emplace_back(context.backend, rows * layer.out());
    outputs.push_back({whole_layer(layer, rows, nullptr, results.back().data())});
  }
  const GemmRows from{x.data(), layers[0].in()};
  if (together) {
    layers_forward(context, outputs, from);
  } else {
    for (const LayerOutput& output : outputs) layer_forward(context, output.params, from);
  }
  std::vector<float> all;
  for (const Buffer<float>& result : results) {
    const std::vector<float> values = result.to_host();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

}  // namespace

TEST_CASE("branches of a device: scratch memory of their own, and an order with what is around") {
  const auto device = Device::get(0);
  for (const std::int64_t bytes : {4, 4096}) {  // the second time the scratch memory grows
    std::vector<std::int32_t> numbers(4, -1);
    Works works;
    for (int i = 0; i < 3; ++i) works.push_back(Stamp{*device, &numbers[i], i, bytes});
    device->side_by_side(works);
    queue(device->stream(), [&] { numbers[3] = numbers[0] + numbers[1] + numbers[2]; });
    CHECK(numbers == std::vector<std::int32_t>{0, 1, 2, 3});
  }
  const std::uint64_t epoch = device->epoch();
  std::int32_t number = -1;
  device->side_by_side(Works{Stamp{*device, &number, 7}});  // alone
  CHECK(number == 7);
  std::int32_t inner = -1;
  const auto nested = [&] {
    device->side_by_side(Works{Stamp{*device, &inner, 8}, Stamp{*device, &number, 9}});
  };
  device->side_by_side(Works{nested, [] {}});
  CHECK(inner == 8);
  CHECK(number == 9);
  device->side_by_side(Works{});
  CHECK(device->epoch() == epoch);
}

TEST_CASE("branches of a device: one that fails leaves the device as it was") {
  const auto device = Device::get(0);
  std::int32_t number = -1;
  const auto fail = [] { throw Error(ErrorCode::DEVICE, "It fails."); };
  for (const Works& works : {Works{Stamp{*device, &number, 1}, fail, Stamp{*device, &number, 2}},
                             Works{fail, Stamp{*device, &number, 2}}}) {
    CHECK_THROWS_WITH_AS(device->side_by_side(works), "It fails.", Error);
    device->side_by_side(Works{Stamp{*device, &number, 3}, [] {}});
    CHECK(number == 3);
  }
}

TEST_CASE("branches of a device are recorded, and copy from the host as well") {
  const auto device = Device::get(0);
  std::vector<std::int32_t> numbers(2, -1);
  const Works works{Stamp{*device, &numbers[0], 5}, Stamp{*device, &numbers[1], 6}};
  device->side_by_side(works);
  numbers = {-1, -1};
  device->begin_record();
  device->side_by_side(works);
  const Graph graph = device->end_record();
  CHECK(numbers == std::vector<std::int32_t>{-1, -1});
  launch_graph(device->stream(), graph);
  CHECK(numbers == std::vector<std::int32_t>{5, 6});
  destroy_graph(graph);

  void* const memory = device->allocate(8);
  const std::int32_t values[] = {8, 9};
  const auto copy = [&](int i) {
    return [&, i] {
      auto* const to = static_cast<std::int32_t*>(memory) + i;
      device->copy(to, &values[i], 4);
      queue(device->stream(), [&, i, to] { numbers[static_cast<std::size_t>(i)] = *to; });
    };
  };
  device->side_by_side(Works{copy(0), copy(1)});
  CHECK(numbers == std::vector<std::int32_t>{8, 9});
  device->release(memory);
}

TEST_CASE("layers that read the same rows have the same bits side by side, in parts too") {
  Random random(4);
  const std::int64_t rows = 5;
  const std::int64_t depth = 2048;
  std::vector<std::vector<std::uint16_t>> stored;
  std::vector<LinearWeight> layers;
  for (const std::int64_t columns : {8, 16, 24}) {
    auto& weight = stored.emplace_back();
    for (const float value : random.values(columns * depth)) weight.push_back(f32_to_bf16(value));
    layers.push_back(make_linear_weight(contiguous_view(weight.data(), DType::bf16, columns, depth),
                                        random.values(columns)));
    layers.back().low_rank = random_low_rank(columns, depth, columns / 2, columns == 16, random);
  }
  for (const auto& backend : {make_cuda_backend(0), make_library_backend()}) {
    for (const auto precision : {Precision::exact, Precision::fast}) {
      for (const bool decoding : {false, true}) {
        Context context = make_cpu_context(1, Isa::specification, precision);
        context.backend = backend;
        context.decoding = decoding;
        const std::vector<float> values = random.values(rows * depth);
        const Buffer<float> x(backend, std::span<const float>(values));
        check_same_bits("layers", layers_apart(context, layers, x, rows, true),
                        layers_apart(context, layers, x, rows, false));
      }
    }
  }
}

}  // namespace headspark::test
