"Rock, paper, scissors at a distance: nobody may see the other's hand before showing his own.

So both first send a seal, a hash from which a hand cannot be read, and show their hands when they have the other's."

(require klorpy *)
(import hashlib [sha256])

(defn sealed [hand]
  "The seal of a hand. A hand is a move and a word that nobody guesses; without it there would be three seals only."
  (.hexdigest (sha256 (.encode (.join " " hand)))))

(defn check [seal hand]
  (when (!= seal (sealed hand))
    (raise (ValueError f"the hand that was sealed is not {hand}"))))

(defchor show-hands [A B] (-> A B [#{A B} #{A B}]) [a b]
  "A's move and B's move, at both."
  (let [a-seal (A->B (A (sealed a)))
        b-seal (B->A (B (sealed b)))
        a (A=>B a)
        b (B=>A b)]
    (A (check b-seal b))
    (B (check a-seal a))
    (pack (get a 0) (get b 0))))

(defchor rock-paper-scissors [A B] (-> A B #{A B} #{A B}) [a-hands b-hands rounds]
  "How often A won and how often B won, in so many rounds."
  (loop [round 0
         a-wins 0
         b-wins 0]
    (if (= round rounds)
      [a-wins b-wins]
      (unpack [[a b] (show-hands [A B] (A (get a-hands round)) (B (get b-hands round)))]
        (match [a b]
          (| ["rock" "scissors"] ["scissors" "paper"] ["paper" "rock"])
            (recur (+ round 1) (+ a-wins 1) b-wins)
          [move same] :if (= move same)
            (recur (+ round 1) a-wins b-wins)
          _
            (recur (+ round 1) a-wins (+ b-wins 1)))))))
