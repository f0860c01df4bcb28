// Captures of the emulated device, which refuse what a driver refuses, and the graphs of repeated
// work: when they are recorded, repeated and dropped, and what happens where that fails.
#include "cuda/step_graphs.h"

#include <doctest/doctest.h>

#include <string>

#include "cuda/op_device.h"
#include "cuda_emulation/runtime_emulated.h"
#include "headspark/buffer.h"
#include "headspark/error.h"
#include "headspark/ops/rows.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

using namespace cuda;

Context cuda_context() {
  Context context = make_cpu_context(1, Isa::specification);
  context.backend = make_cuda_backend(0);
  return context;
}

/// y += x on the device, as work.
struct Adding {
  Context context = cuda_context();
  Buffer<float> x{context.backend, std::span<const float>(std::vector<float>{1.0f, 2.0f})};
  Buffer<float> y{context.backend, std::span<const float>(std::vector<float>{0.0f, 0.0f})};

  std::shared_ptr<Device> device() const { return Device::get(0); }
  void set(float value) {
    const float values[] = {value, 2 * value};
    context.backend->copy_to_device(x.data(), values, sizeof values);
  }
  void run() { combine(context, {.count = 2, .x = x.data(), .b = 1.0f, .y = y.data()}); }
  /// The first sum; the second is twice as large.
  float sum() const {
    const std::vector<float> values = y.to_host();
    CHECK(values[1] == 2 * values[0]);
    return values[0];
  }
};

/// Captures are refused for one scope.
struct Refusing {
  Refusing() { refuse_captures(true); }
  ~Refusing() { refuse_captures(false); }
};

}  // namespace

TEST_CASE("emulated capture: what is queued runs when its graph is launched, and each time") {
  const Stream stream = create_stream();
  float values[] = {3.0f, 4.0f};
  float copy[] = {0.0f, 0.0f};
  begin_capture(stream);
  copy_on_device(stream, copy, values, sizeof values);
  zero(stream, values, sizeof(float));
  CHECK(copy[1] == 0.0f);
  const Graph graph = end_capture(stream);
  CHECK(emulated_graphs() == 1);
  CHECK(values[0] == 3.0f);
  launch_graph(stream, graph);
  CHECK(copy[0] == 3.0f);
  CHECK(values[0] == 0.0f);
  values[1] = 5.0f;
  launch_graph(stream, graph);
  CHECK(copy[0] == 0.0f);
  CHECK(copy[1] == 5.0f);
  destroy_graph(graph);
  CHECK(emulated_graphs() == 0);
  destroy_stream(stream);
}

TEST_CASE("emulated streams: branches have no order but their beginning and end") {
  const Stream stream = create_stream();
  const Stream branch = create_stream();
  const Event event = create_event();
  std::string done;
  const auto work = [&](Stream on, char letter) { queue(on, [&, letter] { done += letter; }); };
  const auto branches = [&] {
    work(stream, 'a');
    wait_for(branch, stream, event);
    work(stream, 'b');
    work(stream, 'c');
    work(branch, 'd');
    work(branch, 'e');
  };
  branches();
  CHECK(done == "a");
  wait_for(stream, branch, event);
  CHECK(done == "adbec");
  work(stream, 'f');
  CHECK(done == "adbecf");
  begin_capture(stream);
  branches();
  wait_for(stream, branch, event);
  work(stream, 'f');
  const Graph graph = end_capture(stream);
  CHECK(done == "adbecf");
  launch_graph(stream, graph);
  CHECK(done == "adbecfadbecf");
  destroy_graph(graph);
  begin_capture(stream);
  branches();  // nobody waits for the branch
  CHECK_THROWS_WITH_AS(end_capture(stream), doctest::Contains("not valid"), Error);
  branches();
  const Stream other = create_stream();
  CHECK_THROWS_AS(wait_for(other, branch, event), Error);
  destroy_stream(other);
  done.clear();
  synchronize(branch);
  CHECK(done == "de");
  wait_for(stream, branch, event);
  CHECK(done == "debc");
  destroy_event(event);
  destroy_stream(branch);
  destroy_stream(stream);
}

TEST_CASE("emulated capture: refuses what a driver refuses, and is not valid after it") {
  const Stream stream = create_stream();
  const Stream other = create_stream();
  void* const memory = try_allocate(64);
  mark_used(memory, 64);
  begin_capture(stream);
  const Graph graph = end_capture(stream);
  float value = 1.0f;
  const std::function<void()> refused[] = {
      [] { try_allocate(64); },
      [] { try_allocate_pinned(64); },
      [&] { copy_to_device(stream, memory, &value, sizeof value); },
      [&] { copy_to_host(stream, &value, memory, sizeof value); },
      [&] { synchronize(stream); },
      [&] { synchronize(other); },
      [&] { zero(nullptr, memory, 64); },
      [&] { begin_capture(other); },
      [&] { launch_graph(other, graph); },
  };
  for (const auto& call : refused) {
    begin_capture(stream);
    CHECK_THROWS_WITH_AS(call(), doctest::Contains("while a stream is captured"), Error);
    CHECK_THROWS_WITH_AS(end_capture(stream), doctest::Contains("not valid"), Error);
    abandon_capture(stream);
    if (&call != &refused[1]) continue;
    begin_capture(stream);  // the next one is as good as any
    destroy_graph(end_capture(stream));
  }
  begin_capture(stream);
  release(memory);
  CHECK_THROWS_WITH_AS(end_capture(stream), doctest::Contains("not valid"), Error);
  CHECK_THROWS_WITH_AS(end_capture(stream), doctest::Contains("does not capture"), Error);
  CHECK_THROWS_WITH_AS(begin_capture(nullptr), doctest::Contains("default stream"), Error);
  destroy_graph(graph);
  destroy_stream(stream);
  destroy_stream(other);
}

TEST_CASE("device: a record gets no memory, not even cached, and no copies from the host") {
  const auto device = Device::get(0);
  float value = 1.0f;
  void* const memory = device->allocate(64);
  device->release(device->allocate(1 << 20));  // cached
  device->scratch(ScratchSlot::contraction, 100);
  const std::uint64_t epoch = device->epoch();
  const std::function<void()> refused[] = {
      [&] { device->allocate(1 << 20); },
      [&] { device->copy(memory, &value, sizeof value); },
      [&] { device->scratch(ScratchSlot::contraction, 5000); },
  };
  for (const auto& call : refused) {
    device->begin_record();
    CHECK_THROWS_WITH_AS(call(), doctest::Contains("is being recorded"), Error);
    device->abandon_record();
  }
  device->begin_record();
  device->scratch(ScratchSlot::contraction, 80);
  destroy_graph(device->end_record());
  CHECK(device->epoch() == epoch);
  device->scratch(ScratchSlot::contraction, 5000);
  CHECK(device->epoch() != epoch);
  device->release(memory);
}

TEST_CASE("step graphs: plain, then recorded, then repeated, on values of the moment") {
  Adding add;
  StepGraphs graphs(add.device());
  float expected = 0.0f;
  for (int i = 1; i <= 6; ++i) {
    add.set(static_cast<float>(i));
    graphs.run(RepeatKey().add(1), [&] {
      CHECK(i <= 2);
      add.run();
    });
    expected += static_cast<float>(i);
    CHECK(add.sum() == expected);
  }
  const RepeatCounts counts = graphs.counts();
  CHECK(counts.plain == 1);
  CHECK(counts.recorded == 1);
  CHECK(counts.repeated == 5);
  CHECK(counts.dropped == 0);
}

TEST_CASE("step graphs: eight are kept, those used last") {
  CHECK(emulated_graphs() == 0);
  Adding add;
  float expected = 0.0f;
  {
    StepGraphs graphs(add.device());
    const auto run = [&](int key) {
      add.set(static_cast<float>(key));
      graphs.run(RepeatKey().add(key), [&] { add.run(); });
      expected += static_cast<float>(key);
      CHECK(add.sum() == expected);
    };
    for (int key = 1; key <= 8; ++key) {
      run(key);
      run(key);
    }
    CHECK(emulated_graphs() == 8);
    CHECK(graphs.counts().dropped == 0);
    run(1);  // used last
    run(9);
    CHECK(emulated_graphs() == 8);  // a key that was seen once takes no graph's place
    run(9);
    CHECK(emulated_graphs() == 8);
    CHECK(graphs.counts().dropped == 1);
    const std::int64_t recorded = graphs.counts().recorded;
    run(1);
    run(3);
    CHECK(graphs.counts().recorded == recorded);
    run(2);  // was dropped: plain, then recorded
    CHECK(graphs.counts().recorded == recorded);
    run(2);
    CHECK(graphs.counts().recorded == recorded + 1);
    for (int key = 10; key < 200; ++key) run(key);  // each once
    CHECK(emulated_graphs() == 8);
    run(10);  // forgotten
    CHECK(graphs.counts().recorded == recorded + 1);
  }
  CHECK(emulated_graphs() == 0);
}

TEST_CASE("step graphs: none survives memory that has moved") {
  Adding add;
  StepGraphs graphs(add.device());
  OpDevice& ops = op_device(add.context);
  const auto slot = ScratchSlot::row_statistics;
  std::int64_t bytes = 1000;
  // The sum goes by way of scratch memory.
  const auto work = [&] {
    auto* const sum = static_cast<float*>(ops.scratch(slot, bytes));
    combine(add.context, {.count = 2, .x = add.x.data(), .b = 0.0f, .y = sum});
    combine(add.context, {.count = 2, .x = sum, .b = 1.0f, .y = add.y.data()});
  };
  float expected = 0.0f;
  const auto run = [&](int key, float value) {
    add.set(value);
    graphs.run(RepeatKey().add(key), work);
    expected += value;
    CHECK(add.sum() == expected);
  };
  for (int i = 0; i < 3; ++i) run(1, 2.0f);
  CHECK(graphs.counts().repeated == 2);
  ops.scratch(slot, 900000);  // another job's
  run(1, 3.0f);
  CHECK(graphs.counts().dropped == 1);
  CHECK(graphs.counts().plain == 2);
  run(1, 4.0f);
  CHECK(graphs.counts().recorded == 2);
  bytes = 3000000;
  run(2, 5.0f);  // moves it itself
  CHECK(graphs.counts().dropped == 2);
  run(1, 6.0f);
  run(1, 7.0f);
  run(2, 8.0f);
  run(2, 9.0f);
  CHECK(graphs.counts().recorded == 4);
  CHECK(emulated_graphs() == 2);
}

TEST_CASE("step graphs: where recording fails work runs op by op, and its errors are its own") {
  Adding add;
  SUBCASE("the driver refuses") {
    StepGraphs graphs(add.device());
    {
      const Refusing refusing;
      for (int i = 0; i < 4; ++i) graphs.run(RepeatKey().add(1), [&] { add.run(); });
    }
    graphs.run(RepeatKey().add(1), [&] { add.run(); });  // does not try again
    CHECK(add.sum() == 5.0f);
    CHECK(graphs.counts().plain == 5);
    CHECK(graphs.counts().recorded == 0);
  }
  SUBCASE("the work allocates") {
    StepGraphs graphs(add.device());
    const auto work = [&] {
      const Buffer<float> more(add.context.backend, 100);
      add.run();
    };
    for (int i = 0; i < 4; ++i) graphs.run(RepeatKey().add(1), work);
    CHECK(add.sum() == 4.0f);
    CHECK(graphs.counts().plain == 4);
  }
  SUBCASE("the work is cancelled while it is recorded") {
    StepGraphs graphs(add.device());
    bool cancelled = false;
    const auto work = [&] {
      add.run();
      if (cancelled) throw Error(ErrorCode::CANCELLED, "The run was cancelled.");
    };
    graphs.run(RepeatKey().add(1), work);
    cancelled = true;
    CHECK_THROWS_WITH_AS(graphs.run(RepeatKey().add(1), work), doctest::Contains("cancelled"),
                         Error);
    CHECK(add.sum() == 1.0f);  // nothing of it ran
    cancelled = false;
    for (int i = 0; i < 3; ++i) graphs.run(RepeatKey().add(1), work);
    CHECK(add.sum() == 4.0f);
    CHECK(graphs.counts().recorded == 1);
    CHECK(graphs.counts().repeated == 3);
  }
  SUBCASE("the work is wrong") {
    StepGraphs graphs(add.device());
    graphs.run(RepeatKey().add(1), [&] { add.run(); });
    const auto wrong = [] { throw Error(ErrorCode::INVALID_ARGUMENT, "A shape is wrong."); };
    CHECK_THROWS_WITH_AS(graphs.run(RepeatKey().add(1), wrong), "A shape is wrong.", Error);
  }
  CHECK(emulated_graphs() == 0);
}

}  // namespace headspark::test
