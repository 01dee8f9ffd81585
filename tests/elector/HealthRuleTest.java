import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** When a sidecar calls itself stuck: only if its loop is, or if it still claims a lead that has ended. */
class HealthRuleTest {

    private static final long SECOND = Duration.ofSeconds(1).toNanos();
    private static final long LIMIT = 15 * SECOND;
    private static final long NOW = 1000 * SECOND;
    private static final Status FOLLOWER = status(false, 0);

    private static Status status(boolean leading, long leadsUntil) {
        return new Status("web-0", "", "web-0", leading, leadsUntil, "7", Instant.EPOCH, List.of("web-0"), true,
                new Statistics(1, SECOND, SECOND, 0, 0, Map.of(), 0));
    }

    @Test
    void a_loop_that_waits_for_events_is_not_stuck_however_long() {
        assertFalse(Sidecar.isStuck(NOW, Sidecar.NOT_BUSY, FOLLOWER, LIMIT));
        assertFalse(Sidecar.isStuck(Long.MAX_VALUE / 2, Sidecar.NOT_BUSY, FOLLOWER, LIMIT));
    }

    @Test
    void a_loop_that_has_been_busy_with_one_event_for_longer_than_the_limit_is_stuck() {
        assertFalse(Sidecar.isStuck(NOW, NOW - LIMIT, FOLLOWER, LIMIT));
        assertTrue(Sidecar.isStuck(NOW, NOW - LIMIT - 1, FOLLOWER, LIMIT));
    }

    @Test
    void so_is_one_that_has_been_busy_with_its_first_event() {
        assertFalse(Sidecar.isStuck(LIMIT, 0, null, LIMIT));
        assertTrue(Sidecar.isStuck(LIMIT + 1, 0, null, LIMIT));
    }

    @Test
    void a_lead_that_is_believed_past_its_deadline_for_longer_than_the_limit_is_wrong() {
        assertFalse(Sidecar.isStuck(NOW, Sidecar.NOT_BUSY, status(true, NOW - LIMIT), LIMIT));
        assertTrue(Sidecar.isStuck(NOW, Sidecar.NOT_BUSY, status(true, NOW - LIMIT - 1), LIMIT));
    }

    @Test
    void a_lead_that_is_no_longer_claimed_cannot_be_overdue() {
        assertFalse(Sidecar.isStuck(NOW, Sidecar.NOT_BUSY, status(false, NOW - 2 * LIMIT), LIMIT));
    }

    @Test
    void a_leader_that_renews_is_not_stuck() {
        assertFalse(Sidecar.isStuck(NOW, Sidecar.NOT_BUSY, status(true, NOW + 10 * SECOND), LIMIT));
    }
}
