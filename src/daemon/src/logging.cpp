#include "logging.h"

#include "vmm/base/time.h"
#include "vmm/json/write.h"

#include <spdlog/formatter.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <mutex>

namespace vmm::daemon {
namespace {

// One JSON object a line: time, level, message.
class JsonLines final : public spdlog::formatter {
public:
    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        const auto ms =
            std::chrono::duration_cast<std::chrono::milliseconds>(message.time.time_since_epoch()).count();
        std::string line = R"({"time":")" + rfc3339({ms}) + R"(","level":")";
        const auto level = spdlog::level::to_string_view(message.level);
        line.append(level.data(), level.size()).append(R"(","message":)");
        json::append_text(line, {message.payload.data(), message.payload.size()});
        line.append("}\n");
        out.append(line.data(), line.data() + line.size());
    }

    [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<JsonLines>();
    }
};

// A rotating file that can be opened anew while others log.
class ReopeningFile final : public spdlog::sinks::base_sink<std::mutex> {
public:
    ReopeningFile(std::string file, std::size_t bytes, std::size_t files)
        : file_{std::move(file)}, bytes_{bytes}, files_{files} {
        open();
    }

    void reopen() {
        const std::lock_guard lock{mutex_};
        inner_.reset();
        open();
    }

protected:
    void sink_it_(const spdlog::details::log_msg& message) override { inner_->log(message); }

    void flush_() override { inner_->flush(); }

    void set_formatter_(std::unique_ptr<spdlog::formatter> formatter) override {
        formatter_ = std::move(formatter);
        inner_->set_formatter(formatter_->clone());
    }

private:
    void open() {
        inner_ = std::make_unique<spdlog::sinks::rotating_file_sink_st>(file_, bytes_, files_);
        inner_->set_formatter(formatter_->clone());
    }

    std::string file_;
    std::size_t bytes_;
    std::size_t files_;
    std::unique_ptr<spdlog::sinks::rotating_file_sink_st> inner_;
};

std::shared_ptr<ReopeningFile>& log_file() {
    static std::shared_ptr<ReopeningFile> file;
    return file;
}

}  // namespace

Result<void> start_logging(const Config& config) {
    spdlog::sink_ptr sink;
    const auto& file = config.text("log_file");
    try {
        if (file.empty()) {
            sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
        } else {
            const auto bytes = static_cast<std::size_t>(config.integer("log_max_size_mb")) << 20;
            log_file() = std::make_shared<ReopeningFile>(
                file, bytes, static_cast<std::size_t>(config.integer("log_max_files"))
            );
            sink = log_file();
        }
    } catch (const spdlog::spdlog_ex& e) {
        return fail(Code::unavailable, "log_file cannot be opened: " + std::string{e.what()});
    }
    auto logger = std::make_shared<spdlog::logger>("vmm", std::move(sink));
    if (config.text("log_format") == "json") {
        logger->set_formatter(std::make_unique<JsonLines>());
    } else {
        logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    }
    logger->set_level(spdlog::level::from_str(config.text("log_level")));
    logger->flush_on(spdlog::level::warn);
    spdlog::set_default_logger(std::move(logger));
    spdlog::flush_every(std::chrono::seconds{1});
    return {};
}

void reopen_log() {
    if (const auto& file = log_file()) {
        try {
            file->reopen();
        } catch (const spdlog::spdlog_ex&) {
            // The old place cannot be opened; nothing is left to say it to.
        }
    }
}

}  // namespace vmm::daemon
