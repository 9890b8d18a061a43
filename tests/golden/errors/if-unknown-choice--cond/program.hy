(defchor price [Buyer Seller] (-> Buyer Buyer) [amount]
  (Buyer (cond (> amount 100) (Seller->Buyer (Seller 0.9))
               (> amount 10) 0.95
               :else 1)))
