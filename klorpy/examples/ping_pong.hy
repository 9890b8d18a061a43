"Taking turns: a choreography that calls itself with its roles swapped.

In each round the role that is called A plays the ball, and the next round has it as B. The call is in tail position,
so a game takes no more memory the longer it lasts."

(require klorpy *)

(defchor ping-pong [A B] (-> A #{A B} #{A B}) [ball length]
  "Play until the ball has been hit `length` times, at least once; the strokes, at both."
  (let [stroke (A (if (% (len ball) 2) "pong" "ping"))
        ball (A=>B (A [#* ball stroke]))]
    (if (= (len ball) length)
      ball
      (ping-pong [B A] (narrow [B] ball) length))))
