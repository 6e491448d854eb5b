#include "terminal.h"

#include <termios.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <iostream>

#include "settings.h"

namespace vmm::cli {

bool on_terminal(int descriptor) {
    return ::isatty(descriptor) == 1;
}

std::string painted(std::string_view text, Colour colour) {
    static const bool colours = on_terminal(1) && environment("NO_COLOR").empty();
    static constexpr std::array<const char*, 5> codes{"", "31", "32", "33", "2"};
    if (!colours || colour == Colour::none) {
        return std::string{text};
    }
    return std::string{"\x1b["} + codes[static_cast<std::size_t>(colour)] + "m" + std::string{text} +
           "\x1b[0m";
}

std::string ask_secretly(const char* prompt) {
    std::fputs(prompt, stderr);
    termios before{};
    tcgetattr(0, &before);
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(0, TCSANOW, &silent);
    std::string line;
    std::getline(std::cin, line);
    tcsetattr(0, TCSANOW, &before);
    std::fputs("\n", stderr);
    return line;
}

asio::awaitable<void> spin(std::string what) {
    static constexpr std::array<const char*, 10> frames{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
    asio::steady_timer timer{co_await asio::this_coro::executor};
    timer.expires_after(std::chrono::milliseconds{300});
    for (std::size_t i = 0;; ++i) {
        const auto [stopped] = co_await timer.async_wait(as_value);
        if (stopped) {
            break;
        }
        std::fprintf(stderr, "\r%s %s ", frames[i % frames.size()], what.c_str());
        timer.expires_after(std::chrono::milliseconds{100});
    }
    std::fputs("\r\x1b[K", stderr);
}

}  // namespace vmm::cli
