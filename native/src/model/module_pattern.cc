// A backtracking matcher over a small syntax tree. Nodes call a continuation with the position
// after them, so that look-ahead and lazy quantifiers need no special machinery.
#include "model/module_pattern.h"

#include <algorithm>
#include <bitset>
#include <functional>

#include "headspark/error.h"
#include "model/json_input.h"

namespace headspark {

struct ModulePattern::Node {
  enum class Kind { characters, sequence, either, repeat, start, end, ahead, not_ahead };
  Kind kind = Kind::sequence;
  std::bitset<256> characters;
  int least = 0;
  int most = 0;  ///< -1: any number
  bool lazy = false;
  std::vector<std::unique_ptr<Node>> children;
};

namespace {

using Node = ModulePattern::Node;
using NodePtr = std::unique_ptr<Node>;
using Kind = Node::Kind;

constexpr std::size_t max_pattern = 4096;
constexpr int max_nesting = 32;
constexpr int max_repeat = 1000;
constexpr std::size_t max_text = 512;  // module names have some 40 characters
constexpr int max_steps = 200'000;     // a real pattern takes a few hundred
constexpr int max_recursion = 2000;    // of matching; a level takes under 1 KB of stack

[[noreturn]] void refuse(const std::string& place, const std::string& why) {
  throw Error(ErrorCode::UNSUPPORTED_ADAPTER,
              place + ": " + why + "; list the modules by name instead.");
}

NodePtr make_node(Kind kind) {
  auto node = std::make_unique<Node>();
  node->kind = kind;
  return node;
}

std::bitset<256> range(int first, int last) {
  std::bitset<256> set;
  for (int c = first; c <= last; ++c) set.set(static_cast<std::size_t>(c));
  return set;
}

class Parser {
 public:
  Parser(const std::string& pattern, const std::string& place) : pattern_(pattern), place_(place) {}

  NodePtr parse() {
    NodePtr node = alternatives(0);
    if (position_ != pattern_.size()) fail("a \")\" without its \"(\"");
    return node;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    refuse(place_, "the pattern " + quote(pattern_) + " has " + why);
  }

  bool at_end() const { return position_ == pattern_.size(); }
  char peek() const { return at_end() ? '\0' : pattern_[position_]; }
  bool take(const std::string& token) {
    if (pattern_.compare(position_, token.size(), token) != 0) return false;
    position_ += token.size();
    return true;
  }
  char next() {
    if (at_end()) fail("an unfinished group, class or escape");
    return pattern_[position_++];
  }

  NodePtr alternatives(int depth) {
    if (depth > max_nesting) fail("too many nested groups");
    NodePtr node = make_node(Kind::either);
    do {
      node->children.push_back(sequence(depth));
    } while (take("|"));
    return node;
  }

  NodePtr sequence(int depth) {
    NodePtr node = make_node(Kind::sequence);
    while (!at_end() && peek() != '|' && peek() != ')') node->children.push_back(quantified(depth));
    return node;
  }

  NodePtr quantified(int depth) {
    NodePtr item = atom(depth);
    int least = 0;
    int most = -1;
    if (take("*")) {
    } else if (take("+")) {
      least = 1;
    } else if (take("?")) {
      most = 1;
    } else if (!counted(least, most)) {
      return item;
    }
    NodePtr node = make_node(Kind::repeat);
    node->least = least;
    node->most = most;
    node->lazy = take("?");
    if (peek() == '+' || peek() == '*') fail("a possessive or repeated quantifier");
    node->children.push_back(std::move(item));
    return node;
  }

  bool counted(int& least, int& most) {
    if (!take("{")) return false;
    least = peek() == ',' ? 0 : count();
    most = least;
    if (take(",")) most = peek() == '}' ? -1 : count();
    if (!take("}") || (most >= 0 && most < least)) fail("a quantifier in braces that is not valid");
    return true;
  }

  int count() {
    int value = 0;
    if (peek() < '0' || peek() > '9') fail("a quantifier in braces that is not valid");
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + (next() - '0');
      if (value > max_repeat) fail("a repeat count above " + std::to_string(max_repeat));
    }
    return value;
  }

  NodePtr atom(int depth) {
    const char c = next();
    if (c == '(') return group(depth);
    if (c == '^') return make_node(Kind::start);
    if (c == '$') return make_node(Kind::end);
    if (c == '*' || c == '+' || c == '?' || c == '{') fail("a quantifier with nothing before it");
    NodePtr node = make_node(Kind::characters);
    if (c == '.') {
      node->characters = ~std::bitset<256>().set('\n');
    } else if (c == '[') {
      node->characters = character_class();
    } else if (c == '\\') {
      node->characters = escape();
    } else {
      node->characters.set(static_cast<unsigned char>(c));
    }
    return node;
  }

  NodePtr group(int depth) {
    NodePtr node;
    if (take("?=")) {
      node = make_node(Kind::ahead);
    } else if (take("?!")) {
      node = make_node(Kind::not_ahead);
    } else if (take("?P<")) {
      while (next() != '>') {
      }
    } else if (!take("?:") && peek() == '?') {
      fail("a kind of group that is not supported");
    }
    NodePtr inner = alternatives(depth + 1);
    if (!take(")")) fail("a \"(\" without its \")\"");
    if (!node) return inner;
    node->children.push_back(std::move(inner));
    return node;
  }

  std::bitset<256> escape() {
    const char c = next();
    const std::bitset<256> digits = range('0', '9');
    const std::bitset<256> words = digits | range('a', 'z') | range('A', 'Z') | range('_', '_');
    const std::bitset<256> spaces = range('\t', '\r') | range(' ', ' ');
    switch (c) {
      case 'd':
        return digits;
      case 'D':
        return ~digits;
      case 'w':
        return words;
      case 'W':
        return ~words;
      case 's':
        return spaces;
      case 'S':
        return ~spaces;
      default:
        break;
    }
    if (words.test(static_cast<unsigned char>(c))) fail("an escape that is not supported");
    return range(static_cast<unsigned char>(c), static_cast<unsigned char>(c));
  }

  std::bitset<256> character_class() {
    const bool complement = take("^");
    std::bitset<256> set;
    bool first = true;
    for (char c = next(); c != ']' || first; c = next()) {
      first = false;
      if (c == '\\') {
        set |= escape();
        continue;
      }
      const int low = static_cast<unsigned char>(c);
      int high = low;
      if (peek() == '-' && position_ + 1 < pattern_.size() && pattern_[position_ + 1] != ']') {
        next();
        high = static_cast<unsigned char>(next());
        if (high == '\\' || high < low) fail("a character range that is not supported");
      }
      set |= range(low, high);
    }
    return complement ? ~set : set;
  }

  const std::string& pattern_;
  const std::string& place_;
  std::size_t position_ = 0;
};

class Matcher {
 public:
  using Then = std::function<bool(std::size_t)>;

  Matcher(const std::string& text, const std::string& place) : text_(text), place_(place) {}

  bool match(const Node& node, std::size_t at, const Then& then) {
    if (--steps_ < 0 || depth_ > max_recursion) {
      refuse(place_, "a pattern takes too many steps to match");
    }
    ++depth_;
    const bool matched = dispatch(node, at, then);
    --depth_;
    return matched;
  }

 private:
  bool dispatch(const Node& node, std::size_t at, const Then& then) {
    switch (node.kind) {
      case Kind::characters:
        return at < text_.size() && node.characters.test(static_cast<unsigned char>(text_[at])) &&
               then(at + 1);
      case Kind::sequence:
        return sequence(node, 0, at, then);
      case Kind::either:
        return std::any_of(node.children.begin(), node.children.end(),
                           [&](const NodePtr& child) { return match(*child, at, then); });
      case Kind::repeat:
        return repeat(node, 0, at, then);
      case Kind::start:
        return at == 0 && then(at);
      case Kind::end:
        return at == text_.size() && then(at);
      default:
        break;
    }
    const bool ahead = match(*node.children[0], at, [](std::size_t) { return true; });
    return ahead == (node.kind == Kind::ahead) && then(at);
  }

  bool sequence(const Node& node, std::size_t index, std::size_t at, const Then& then) {
    if (index == node.children.size()) return then(at);
    return match(*node.children[index], at,
                 [&, index](std::size_t after) { return sequence(node, index + 1, after, then); });
  }

  bool repeat(const Node& node, int done, std::size_t at, const Then& then) {
    const auto again = [&] {
      if (node.most >= 0 && done >= node.most) return false;
      return match(*node.children[0], at, [&, done](std::size_t after) {
        if (after == at && done >= node.least) return false;  // an empty round leads nowhere
        return repeat(node, done + 1, after, then);
      });
    };
    if (done < node.least) return again();
    if (node.lazy) return then(at) || again();
    return again() || then(at);
  }

  const std::string& text_;
  const std::string& place_;
  int steps_ = max_steps;
  int depth_ = 0;
};

}  // namespace

ModulePattern::ModulePattern(const std::string& pattern, std::string place)
    : place_(std::move(place)) {
  if (pattern.size() > max_pattern) refuse(place_, "the pattern is too long");
  root_ = Parser(pattern, place_).parse();
}

ModulePattern::~ModulePattern() = default;
ModulePattern::ModulePattern(ModulePattern&&) noexcept = default;
ModulePattern& ModulePattern::operator=(ModulePattern&&) noexcept = default;

bool ModulePattern::full_match(const std::string& text) const {
  if (text.size() > max_text) refuse(place_, "a module name is too long");
  return Matcher(text, place_).match(*root_, 0, [&](std::size_t end) {
    return end == text.size();
  });
}

}  // namespace headspark
