import java.time.Duration;
import java.util.concurrent.CompletableFuture;

/** What a hostile network or API server does to one request; {@link FaultProxy} carries it out. */
sealed interface HttpFault {

    /** The request is late, until the test lets it go. It is executed even if the client has given up: so are packets on their way. */
    record Hold(CompletableFuture<Void> until) implements HttpFault {}

    /** As {@link Hold}, by a server that is slow with everything for a while. */
    record Slow(Duration by) implements HttpFault {}

    /** Refused by the server, with a Status of this code; {@code retryAfterSeconds} is 0 if it does not say how long to stay away. */
    record Refuse(int code, int retryAfterSeconds) implements HttpFault {}

    /** Refused with 401, as everything is whose token has expired. */
    record ExpiredToken() implements HttpFault {}

    /** The request is executed, and the connection is reset instead of an answer. On a watch: in the middle of it. */
    record ResetAfter() implements HttpFault {}

    /** The request is executed, and the connection ends in the middle of the answer, or of an event. */
    record Truncate() implements HttpFault {}

    /** The request is executed and answered 200 with something else. On a watch: something else than an event. */
    record Garbage(String body) implements HttpFault {}

    /** The watch stays open and delivers nothing any more. */
    record Silence() implements HttpFault {}

    /** The watch ends with an event that says 410: the version that it goes on from is no longer known. */
    record Expire() implements HttpFault {}

    /** Whether all that it does is to come late. */
    default boolean isDelay() {
        return this instanceof Hold || this instanceof Slow;
    }
}
