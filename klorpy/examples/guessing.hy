"Guess the number: `loop` repeats with other values, `case` chooses by a word that both players know.

The bounds are known to both players, so that neither has to be told them."

(require klorpy *)

(defn compared [secret guess]
  (cond (< secret guess) "lower"
        (> secret guess) "higher"
        True "right"))

(defchor guess-number [Guesser Keeper] (-> Guesser Keeper #{Guesser Keeper} #{Guesser Keeper}) [strategy secret limit]
  "How many guesses it takes to find `secret`, of 1 … `limit`. `strategy` makes a guess from the bounds."
  (loop [low 1
         high limit
         guesses 1]
    (let [guess (Guesser=>Keeper (Guesser (strategy low high)))
          verdict (Keeper=>Guesser (Keeper (compared secret guess)))]
      (case verdict
        "lower" (recur low (- guess 1) (+ guesses 1))
        "higher" (recur (+ guess 1) high (+ guesses 1))
        guesses))))

(defchor guess-by-halves [Guesser Keeper] (-> Keeper #{Guesser Keeper} #{Guesser Keeper}) [secret limit]
  (guess-number [Guesser Keeper] (Guesser (fn [low high] (// (+ low high) 2))) secret limit))
