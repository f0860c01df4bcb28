// The rotary table against LlamaRotaryEmbedding of transformers 5.18 on torch (CPU), head_dim 64.
#include <cmath>

#include "model_files.h"

namespace headspark {
namespace {

constexpr int pairs[] = {0, 5, 12, 15, 16, 17, 20, 31};
constexpr int positions[] = {1, 1000, 8191};

struct Expected {
  float cosine[3][8];  ///< [position][pair] as above
  float sine[3][8];
};

const Expected llama3 = {
    {{0.540302336f, 0.991731167f, 0.999973416f, 0.999999046f, 0.999999881f, 1, 1, 1},
     {0.562379062f, -0.993055403f, 0.532301247f, 0.197593763f, 0.865401089f, 0.984109759f,
      0.999412477f, 0.99999994f},
     {-0.646390498f, 0.0739662498f, -0.999033988f, 0.2392627f, -0.401702672f, 0.108425386f,
      0.960835218f, 0.999995232f}},
    {{0.841470957f, 0.128332496f, 0.00729260035f, 0.00137189322f, 0.000524846022f, 0.000178507791f,
      3.42810235e-05f, 3.7673226e-07f},
     {0.826879561f, 0.117647767f, 0.846554995f, 0.980283976f, 0.501079738f, 0.177561268f,
      0.0342743099f, 0.000376732263f},
     {-0.763006806f, -0.997260749f, -0.0439440235f, -0.970954895f, -0.915770173f, 0.994104564f,
      0.277120441f, 0.00308580906f}}};

const Expected linear = {{{0.968912423f, 0.998243213f, 0.999968767f, 0.999994457f, 0.999996901f,
                           0.999998271f, 0.999999702f, 1},
                          {0.240988299f, -0.918739319f, -0.0516898036f, -0.981584251f,
                           -0.801143587f, -0.29928124f, 0.703440666f, 0.999444366f},
                          {0.842757821f, -0.220139503f, -0.34561789f, -0.56765002f, -0.0571156591f,
                           -0.938683569f, 0.981554031f, 0.962947011f}},
                         {{0.247403964f, 0.0592496209f, 0.0079056127f, 0.00333379745f,
                           0.00249999738f, 0.00187473453f, 0.000790569407f, 3.33380376e-05f},
                          {-0.970528007f, 0.394864649f, 0.998663187f, -0.191029638f, 0.598472118f,
                           0.954164982f, 0.710753977f, 0.0333318599f},
                          {-0.538292885f, 0.975468397f, 0.938375354f, 0.823269963f, 0.998367548f,
                           0.344779938f, 0.191184893f, 0.269690752f}}};

// As Qwen3's configurations for long texts have it; the attention factor is not in the tables.
const Expected yarn = {
    {{0.540302336f, 0.993339777f, 0.999986708f, 0.999999464f, 0.999999821f, 0.99999994f, 1, 1},
     {0.562379062f, -0.724336088f, 0.428115666f, 0.517715454f, 0.834631205f, 0.947749436f,
      0.999011934f, 0.99999994f},
     {-0.646390498f, -0.965726256f, -0.187454358f, -0.526981115f, 0.0656475797f, -0.88604635f,
      0.934427857f, 0.999995053f}},
    {{0.841470957f, 0.115221716f, 0.00515477266f, 0.00102661748f, 0.000583333313f, 0.000324690831f,
      4.44569851e-05f, 3.84981632e-07f},
     {0.826879561f, 0.689447045f, -0.903723955f, 0.855552852f, 0.550809145f, 0.319015771f,
      0.0444423407f, 0.000384981628f},
     {-0.763006806f, -0.259562612f, -0.98227334f, 0.849877f, -0.997842848f, 0.463596642f,
      0.356152505f, 0.00315337954f}}};

void check_table(const RotaryConfig& config, const Expected& expected) {
  const RotaryTable table = make_rotary_table(config, 8192);
  REQUIRE(table.pairs == 32);
  REQUIRE(table.cosine.size() == 8192 * 32);
  for (int p = 0; p < 3; ++p) {
    // One ulp of the frequency turns position p by p * 6e-8 rad.
    const double tolerance = 2e-7 + positions[p] * 1.2e-7;
    for (int i = 0; i < 8; ++i) {
      const auto at = static_cast<std::size_t>(positions[p] * 32 + pairs[i]);
      CHECK(!(std::fabs(table.cosine[at] - expected.cosine[p][i]) > tolerance));
      CHECK(!(std::fabs(table.sine[at] - expected.sine[p][i]) > tolerance));
      CHECK(std::isfinite(table.cosine[at]));
    }
  }
}

TEST_CASE("rotary table: llama3 scaling, all three frequency bands") {
  RotaryConfig config;
  config.rotary_dim = 64;
  config.theta = 500000.0;
  config.scaling = RotaryScaling::llama3;
  config.factor = 8.0;
  check_table(config, llama3);
}

TEST_CASE("rotary table: linear scaling") {
  RotaryConfig config;
  config.rotary_dim = 64;
  config.scaling = RotaryScaling::linear;
  config.factor = 4.0;
  check_table(config, linear);
}

TEST_CASE("rotary table: yarn, kept, blended and divided frequencies") {
  RotaryConfig config;
  config.rotary_dim = 64;
  config.theta = 1000000.0;
  config.scaling = RotaryScaling::yarn;
  config.factor = 4.0;
  config.original_max_positions = 32768;
  config.attention_factor = 1.1386;
  check_table(config, yarn);
}

TEST_CASE("rotary table: longrope, a divisor for every pair") {
  RotaryConfig config;
  config.rotary_dim = 64;
  config.scaling = RotaryScaling::longrope;
  config.frequency_divisors.assign(32, 4.0f);
  check_table(config, linear);
  for (std::size_t pair = 0; pair < 32; ++pair) {
    config.frequency_divisors[pair] = 1.0f + 0.25f * static_cast<float>(pair);
  }
  const RotaryTable table = make_rotary_table(config, 101);
  for (std::size_t pair = 0; pair < 32; ++pair) {
    const double divisor = config.frequency_divisors[pair];
    const double angle = 100.0 / (divisor * std::pow(10000.0, static_cast<double>(pair) / 32.0));
    CHECK(!(std::fabs(table.cosine[100 * 32 + pair] - std::cos(angle)) > 1.3e-5));
    CHECK(!(std::fabs(table.sine[100 * 32 + pair] - std::sin(angle)) > 1.3e-5));
  }
}

TEST_CASE("rotary table: none, and bad sizes") {
  CHECK(make_rotary_table(RotaryConfig(), 8).pairs == 0);
  CHECK(make_rotary_table(RotaryConfig(), 8).cosine.empty());
  RotaryConfig odd;
  odd.rotary_dim = 3;
  files::expect_error(ErrorCode::INVALID_ARGUMENT, {"even"}, [&] { make_rotary_table(odd, 8); });
}

}  // namespace
}  // namespace headspark
