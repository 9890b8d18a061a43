"Tic-tac-toe: the board is common knowledge, the players' strategies are their own.

A move is one message. Both players put it on their board and see for themselves whether the game is over."

(require klorpy *)

(setv LINES [[0 1 2] [3 4 5] [6 7 8] [0 3 6] [1 4 7] [2 5 8] [0 4 8] [2 4 6]])

(defn whose-turn [board]
  (if (% (.count board ".") 2) "X" "O"))

(defn put [board square]
  "The board, a text of nine squares, after the move. Nobody has to trust the other: both check it."
  (when (!= (get board square) ".")
    (raise (ValueError f"square {square} is taken")))
  (+ (cut board square) (whose-turn board) (cut board (+ square 1) None)))

(defn winner [board]
  (for [[a b c] LINES]
    (when (= (get board a) (get board b) (get board c))
      (when (!= (get board a) ".")
        (return (get board a))))))

(defchor play-on [P Q] (-> P Q #{P Q} #{P Q}) [mine yours board]
  "Play to the end, P being on move; the final board."
  (if (or (winner board) (not-in "." board))
    board
    (let [square (P=>Q (P (mine board)))]
      (play-on [Q P] yours mine (put board square)))))

(defchor tic-tac-toe [X O] (-> X O #{X O}) [x-plays o-plays]
  "Who won, None for nobody, and the final board. A strategy is a function from the board to a square."
  (let [board (play-on [X O] x-plays o-plays (* "." 9))]
    [(winner board) board]))

(defn first-free [board]
  (.index board "."))

(defn last-free [board]
  (.rindex board "."))

(defn careful [board]
  "A square that wins at once, or else one that the other would win by, or else the first that is free."
  (let [me (whose-turn board)
        you (if (= me "X") "O" "X")
        free (lfor [i square] (enumerate board) :if (= square ".") i)]
    (for [mark [me you]
          square free]
      (when (= mark (winner (+ (cut board square) mark (cut board (+ square 1) None))))
        (return square)))
    (get free 0)))

(defchor first-against-careful [X O] (-> #{X O}) []
  "A game between two of these. A function is a value like others: each player holds its own."
  (tic-tac-toe [X O] (X first-free) (O careful)))
